/**
 * `@groups` of syscalls for seccomp rules: what belongs together, in words that a config can name. A group may hold groups.
 *
 * The lists name the calls of every architecture and of newer kernels too; those that this libseccomp or the target does
 * not have are skipped. What a group promises is its first comment line; see syscalls(2) for the calls.
 */

/** Space-separated members, so that a list reads as one. */
const GROUPS: Readonly<Record<string, string>> = {
  // What any program needs to start, to map memory, to tell the time and to end.
  "@default": `
    arch_prctl brk cacheflush clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 execve exit exit_group futex futex_time64 futex_wait
    futex_waitv futex_wake futex_requeue get_robust_list get_thread_area getegid getegid32 geteuid
    geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getrandom
    getresgid getresgid32 getresuid getresuid32 getrlimit getsid gettid gettimeofday getuid
    getuid32 membarrier mmap mmap2 mprotect munmap nanosleep pause prlimit64 restart_syscall
    riscv_flush_icache riscv_hwprobe rseq rseq_slice_yield rt_sigreturn sched_getaffinity sched_yield
    set_robust_list set_thread_area set_tid_address set_tls sigreturn time ugetrlimit`,
  // Reading and writing what is open.
  "@basic-io": `
    _llseek close close_range dup dup2 dup3 lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2
    read readv write writev`,
  // Files and directories: names, content, attributes.
  "@file-system": `
    access chdir chmod close creat faccessat faccessat2 fallocate fchdir fchmod fchmodat fchmodat2
    fcntl fcntl64 fgetxattr file_getattr file_setattr flistxattr fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 ftruncate ftruncate64 futimesat getcwd getdents getdents64
    getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lgetxattr link
    linkat listxattr listmount listxattrat llistxattr lremovexattr lsetxattr lstat lstat64 mkdir
    mkdirat mknod mknodat newfstatat oldfstat oldlstat oldstat open openat openat2 readlink
    readlinkat removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat
    stat64 statfs statfs64 statmount statx symlink symlinkat truncate truncate64 unlink unlinkat
    utime utimensat utimensat_time64 utimes`,
  // Waiting for many fds.
  "@io-event": `
    _newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
    epoll_wait epoll_wait_old eventfd eventfd2 poll ppoll ppoll_time64 pselect6 pselect6_time64
    select`,
  // Sockets.
  "@network-io": `
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socket socketcall
    socketpair`,
  // Between processes: pipes, System V IPC, POSIX queues, memory of others by descriptor.
  "@ipc": `
    ipc memfd_create mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
    mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2
    process_madvise semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`,
  // Making, awaiting and ending processes.
  "@process": `
    capget clone clone3 execveat fork getrusage kill pidfd_open pidfd_send_signal prctl
    rt_sigqueueinfo rt_tgsigqueueinfo swapcontext tgkill times tkill vfork wait4 waitid waitpid`,
  // Entering, making and finding namespaces. clone and clone3 can make them too and are in @process, for threads need them.
  "@namespace": "listns setns unshare",
  // Handling signals.
  "@signal": `
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigsuspend`,
  // Timers.
  "@timer": `
    alarm getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
    timerfd_settime timerfd_settime64 times`,
  // Writing data to disk.
  "@sync": "fdatasync fsync msync sync sync_file_range sync_file_range2 syncfs",
  // Asynchronous I/O of the older kind.
  "@aio": `
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit`,
  // Operations through rings, which no filter sees: a program that has these can do file and network I/O past the rules.
  "@io-uring": "io_uring_enter io_uring_register io_uring_setup",
  // Owners of files.
  "@chown": "chown chown32 fchown fchown32 fchownat lchown lchown32",
  // Own user, groups and capabilities.
  "@setuid": `
    setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid
    setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32`,
  // Limits and scheduling of processes.
  "@resources": `
    ioprio_set mbind migrate_pages move_pages nice sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler set_mempolicy set_mempolicy_home_node setpriority setrlimit`,
  // Memory that is never swapped.
  "@memlock": "mlock mlock2 mlockall munlock munlockall",
  // Passwords and keys of the kernel.
  "@keyring": "add_key keyctl request_key",
  // Protection keys and secret memory.
  "@pkey": "memfd_secret pkey_alloc pkey_free pkey_mprotect",
  // A program that restrains itself.
  "@sandbox": `
    landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp`,
  // Mounting, and changing the root.
  "@mount": `
    chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr
    pivot_root umount umount2`,
  // Setting the clock.
  "@clock": `
    adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday stime`,
  // Kernel modules.
  "@module": "create_module delete_module finit_module get_kernel_syms init_module query_module",
  // Restarting the machine, and starting another kernel.
  "@reboot": "kexec_file_load kexec_load reboot",
  // Swap space.
  "@swap": "swapoff swapon",
  // Ports and memory of devices.
  "@raw-io": `
    ioperm iopl pciconfig_iobase pciconfig_read pciconfig_write s390_pci_mmio_read
    s390_pci_mmio_write`,
  // Looking into other processes, and measuring the kernel.
  "@debug": `
    kcmp lookup_dcookie perf_event_open pidfd_getfd process_vm_readv process_vm_writev ptrace
    rtas s390_runtime_instr sys_debug_setcontext uprobe uretprobe userfaultfd`,
  // Programs inside the kernel.
  "@bpf": "bpf",
  // Emulation of other processors.
  "@cpu-emulation": "modify_ldt subpage_prot switch_endian vm86 vm86old",
  // Gone, unused or without an implementation.
  "@obsolete": `
    _sysctl afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle lock
    mpx prof profil putpmsg query_module security sgetmask ssetmask stty sysfs tuxcall ulimit uselib
    ustat vserver`,
  // Only for who administers the machine.
  "@privileged": `
    @chown @clock @module @mount @namespace @raw-io @reboot @setuid @swap _sysctl acct bpf capset chroot
    fanotify_init fanotify_mark nfsservctl open_by_handle_at pivot_root quotactl quotactl_fd
    setdomainname sethostname vhangup syslog`,
  // What an ordinary service does: files, sockets, processes, timers. Neither namespaces nor another root.
  "@system-service": `
    @aio @basic-io @chown @default @file-system @io-event @ipc @memlock @network-io @pkey @process
    @sandbox @setuid @signal @sync @timer arm_fadvise64_64 arm_sync_file_range cachestat capset
    copy_file_range fadvise64 fadvise64_64 flock get_mempolicy getcpu getpriority ioctl ioprio_get
    ioprio_set lsm_get_self_attr lsm_list_modules madvise mincore mremap mseal name_to_handle_at
    nice oldolduname olduname personality readahead readdir remap_file_pages sched_get_priority_max
    sched_get_priority_min sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sendfile sendfile64 setpgid setpriority setrlimit setsid splice sysinfo tee umask uname vmsplice`,
  // Everything that this list knows.
  "@known": `
    @system-service @privileged @io-uring @keyring @resources @debug @bpf @cpu-emulation @obsolete
    map_shadow_stack process_mrelease`,
};

/** Names as a config writes them. */
export const groupNames: readonly string[] = Object.keys(GROUPS);

const expanded = new Map<string, readonly string[]>();

/** The syscalls of a group, of its groups too, each once; undefined when there is no such group. */
export function syscallsOf(group: string): readonly string[] | undefined {
  const known = expanded.get(group);
  if (known) return known;
  const members = Object.hasOwn(GROUPS, group) ? GROUPS[group] : undefined;
  if (members === undefined) return undefined;
  const names = new Set<string>();
  for (const member of members.trim().split(/\s+/)) {
    if (!member.startsWith("@")) names.add(member);
    else for (const name of syscallsOf(member) ?? []) names.add(name);
  }
  const list = [...names];
  expanded.set(group, list);
  return list;
}
