/** Places made with namespaces, mounts, limits and filters: what containers and units do, one thing at a time. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { isRoot } from "../served.ts";
import type { Place } from "./place.ts";
import type { Room } from "./room.ts";
import { EAFNOSUPPORT, ENOSYS, EPERM, type Rule } from "./rules.ts";

const CLONE_NEW = 0x7e020000;

const denied = (errno: number, ...calls: string[]): Rule[] =>
  calls.map((call) => ({ call, errno }));

/** A command that executes another after a script of root, in a mount namespace of its own. */
const mounted = (script: string, ...namespaces: string[]): string[] => [
  ...["unshare", "--mount", ...namespaces, "sh", "-ec"],
  `cd /
${script}\nexec "$@"`,
  "sh",
];
const ownProc = (script: string): string[] =>
  mounted(`mount -t proc proc /proc\n${script}`, "--pid", "--fork", "--kill-child");

/** Read-only mounts; paths are from where the script is, so that it does for a root to be, too. */
const readOnly = (...paths: string[]): string =>
  `for path in ${paths.join(" ")}; do
  if [ -e $path ]; then mount --bind $path $path; mount -o remount,bind,ro $path; fi
done`;

const masked = (...paths: string[]): string =>
  `for path in ${paths.join(" ")}; do
  if [ -d $path ]; then mount -t tmpfs -o ro none $path; elif [ -e $path ]; then mount --bind /dev/null $path; fi
done`;

const DOCKER_CAPS = [
  "chown",
  "dac_override",
  "fsetid",
  "fowner",
  "mknod",
  "net_raw",
  "setgid",
  "setuid",
  "setfcap",
  "setpcap",
  "net_bind_service",
  "sys_chroot",
  "kill",
  "audit_write",
].map((cap) => `+${cap}`);

/** Of what the default profile of Docker denies, all that exists; clone3 is answered by ENOSYS, so that programs go back to clone. */
const docker = (errno = EPERM): Rule[] => [
  { call: "clone", errno, arg: 0, any: CLONE_NEW },
  ...denied(ENOSYS, "clone3"),
  ...denied(errno, ...NO_ADMIN),
  ...denied(errno, "add_key", "keyctl", "request_key", "userfaultfd", "kcmp", "process_madvise"),
];
/** Without CAP_SYS_ADMIN. */
const NO_ADMIN = [
  ...["bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount"],
  ...["mount_setattr", "move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl"],
  ...["setdomainname", "sethostname", "setns", "swapon", "swapoff", "syslog", "umount2", "unshare"],
];

const UNIT = { INVOCATION_ID: "0123456789abcdef0123456789abcdef" };
const DOCKER_PROC = `${readOnly("proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus")}
${masked("proc/acpi", "proc/kcore", "proc/keys", "proc/timer_list", "proc/scsi", "sys/firmware")}`;
const sinceSysctl = (path: string, kernel: string) => () =>
  existsSync(path) ? undefined : `this kernel has no ${path}: it needs ${kernel}`;

/** PR_SET_MDWE, as MemoryDenyWriteExecute= of a new systemd uses it. */
const MDWE = [
  "/usr/bin/python3",
  "-c",
  "import ctypes,os,sys;z=ctypes.c_ulong(0);" +
    "ctypes.CDLL(None).prctl(65,ctypes.c_ulong(1),z,z,z)==0 or os._exit(9);os.execvp(sys.argv[1],sys.argv[1:])",
];

export function madePlaces(room: Room): Place[] {
  const filter = (...rules: Rule[]) => room.filter(rules);
  const without = (errno: number, ...calls: string[]) => room.without(errno, ...calls);
  const unit = (name: string, how: Omit<Place, "name" | "kind">): Place => ({
    ...{ name, kind: "unit options", env: UNIT },
    ...how,
  });
  return [
    { name: "as it is", kind: "the machine" },
    ...containers(room),
    unit("`NoNewPrivileges=yes`", { outer: ["setpriv", "--no-new-privs"] }),
    unit("`PrivateNetwork=yes`", {
      outer: mounted("ip link set lo up", "--net"),
    }),
    unit("`PrivateIPC=yes`", { outer: ["unshare", "--ipc"] }),
    unit("`PrivateTmp=yes`", { outer: mounted("mount -t tmpfs tmpfs /var/tmp") }),
    unit("`PrivateDevices=yes`", {
      outer: mounted(
        `dev=$(mktemp -d); mount -t tmpfs -o mode=755 dev $dev
for name in null zero full random urandom tty; do touch $dev/$name; mount --bind /dev/$name $dev/$name; done
mkdir $dev/pts $dev/shm; mount --rbind /dev/shm $dev/shm; mount --rbind /dev/pts $dev/pts
mount -o remount,bind,ro,noexec,nosuid $dev; mount --move $dev /dev; rmdir $dev`,
      ),
      caps: ["-mknod", "-sys_rawio"],
      inner: [...without(EPERM, "ioperm", "iopl")],
    }),
    unit("`PrivateUsers=yes`", { outer: room.userns("0 0 1\n65534 65534 1") }),
    unit("`ProtectSystem=strict`", {
      outer: mounted(readOnly(...["usr", "bin", "etc", "home", "root", "opt", "srv", "var"])),
    }),
    unit("`ProtectHome=yes`", {
      outer: mounted("mount -t tmpfs -o mode=0 none /home; mount -t tmpfs -o mode=0 none /root"),
    }),
    unit("`ProtectProc=invisible`", { outer: ownProc("mount -o remount,hidepid=2 /proc") }),
    unit("`ProtectProc=noaccess`", { outer: ownProc("mount -o remount,hidepid=1 /proc") }),
    unit("`ProcSubset=pid`", {
      outer: mounted("mount -t proc -o subset=pid proc /proc", "--pid", "--fork", "--kill-child"),
    }),
    unit("`ProtectKernelTunables=yes`", {
      outer: mounted(
        readOnly(...["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "sys"]),
      ),
    }),
    unit("`ProtectKernelModules=yes`", {
      caps: ["-sys_module"],
      inner: [...without(EPERM, "init_module", "finit_module", "delete_module")],
    }),
    unit("`ProtectKernelLogs=yes`", {
      outer: mounted(masked("proc/kmsg", "dev/kmsg")),
      caps: ["-syslog"],
      inner: [...without(EPERM, "syslog")],
    }),
    unit("`ProtectControlGroups=yes`", { outer: mounted(readOnly("sys/fs/cgroup")) }),
    unit("`ProtectHostname=yes`", {
      outer: ["unshare", "--uts"],
      inner: without(EPERM, "sethostname", "setdomainname"),
    }),
    unit("`ProtectClock=yes`", {
      caps: ["-sys_time", "-wake_alarm"],
      inner: [...without(EPERM, "settimeofday", "clock_settime", "clock_adjtime", "adjtimex")],
    }),
    unit("`RestrictNamespaces=yes`", {
      inner: filter(
        { call: "clone", errno: EPERM, arg: 0, any: CLONE_NEW },
        ...denied(ENOSYS, "clone3"),
        ...denied(EPERM, "unshare", "setns"),
      ),
    }),
    unit("`RestrictRealtime=yes`", {
      inner: filter(
        ...[1, 2, 6].map((policy): Rule => ({
          call: "sched_setscheduler",
          errno: EPERM,
          arg: 1,
          all: policy,
        })),
      ),
    }),
    unit("`RestrictSUIDSGID=yes`", {
      inner: filter(
        ...denied(ENOSYS, "openat2"),
        { call: "chmod", errno: EPERM, arg: 1, any: 0o6000 },
        { call: "fchmod", errno: EPERM, arg: 1, any: 0o6000 },
        { call: "fchmodat", errno: EPERM, arg: 2, any: 0o6000 },
        { call: "mkdirat", errno: EPERM, arg: 2, any: 0o6000 },
        { call: "mknodat", errno: EPERM, arg: 2, any: 0o6000 },
      ),
    }),
    unit("`RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6`", {
      inner: filter({ call: "socket", errno: EAFNOSUPPORT, arg: 0, not: [1, 2, 10] }),
    }),
    unit("`RestrictAddressFamilies=AF_UNIX`", {
      inner: filter({ call: "socket", errno: EAFNOSUPPORT, arg: 0, not: [1] }),
    }),
    unit("`MemoryDenyWriteExecute=yes`", {
      inner: filter(
        { call: "mmap", errno: EPERM, arg: 2, all: 6 },
        { call: "mprotect", errno: EPERM, arg: 2, any: 4 },
        { call: "pkey_mprotect", errno: EPERM, arg: 2, any: 4 },
        { call: "shmat", errno: EPERM, arg: 2, any: 0o100000 },
      ),
    }),
    unit("`MemoryDenyWriteExecute=yes`, with PR_SET_MDWE", {
      inner: MDWE,
      missing: () =>
        Bun.spawnSync([...MDWE, "true"]).exitCode === 0
          ? undefined
          : "this kernel has no PR_SET_MDWE: it needs Linux 6.3",
    }),
    unit("`LockPersonality=yes`", { inner: without(EPERM, "personality") }),
    unit("`SystemCallFilter=~@keyring`", {
      inner: without(EPERM, "add_key", "keyctl", "request_key"),
    }),
    unit("`SystemCallFilter=~@mount`", {
      inner: without(
        EPERM,
        ...["chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr"],
        ...["move_mount", "open_tree", "pivot_root", "umount2"],
      ),
    }),
    unit("`SystemCallFilter=~@privileged`", {
      inner: without(
        EPERM,
        ...["capset", "chown", "chroot", "fchown", "fchownat", "lchown", "quotactl"],
        ...["setdomainname", "setfsgid", "setfsuid", "setgroups", "sethostname"],
        ...["setresgid", "setresuid", "setreuid", "setregid", "setuid", "setgid", "vhangup"],
      ),
    }),
    unit("`SystemCallFilter=~@resources`", {
      inner: without(
        EPERM,
        ...["ioprio_set", "mbind", "migrate_pages", "move_pages", "sched_setaffinity"],
        ...[
          "sched_setattr",
          "sched_setparam",
          "sched_setscheduler",
          "set_mempolicy",
          "setpriority",
          "setrlimit",
        ],
      ),
    }),
    unit("`SystemCallFilter=~@resources`, of a systemd that has prlimit64 in it", {
      inner: without(EPERM, "setrlimit", "prlimit64", "setpriority", "sched_setscheduler"),
    }),
    unit("`CapabilityBoundingSet=`", { caps: ["-all"] }),
    unit("`SecureBits=noroot noroot-locked`", {
      outer: ["setpriv", "--securebits=+noroot,+noroot_locked"],
      users: ["root"],
    }),
    ...fileSystems(room),
    ...limits(),
    ...settings(room),
    ...filters(room),
  ];
}

function containers(room: Room): Place[] {
  const container = (name: string, how: Omit<Place, "name" | "kind">): Place => ({
    ...{ name, kind: "containers, imitated" },
    ...how,
  });
  const dockerEnv = { container: "docker" };
  const own = ["--pid", "--fork", "--kill-child", "--ipc", "--uts", "--net", "--cgroup"];
  // As in a container, whose hierarchy is its own, or not there.
  const proc = `mount -t proc proc /proc\nmount -t tmpfs -o ro none /sys/fs/cgroup\nip link set lo up`;
  return [
    container("Docker's default", {
      outer: mounted(`${proc}\n${DOCKER_PROC}`, ...own),
      caps: ["-all", ...DOCKER_CAPS],
      inner: room.filter(docker()),
      env: dockerEnv,
    }),
    container("Docker, `--security-opt seccomp=unconfined --cap-add SYS_ADMIN`", {
      outer: mounted(`${proc}\n${DOCKER_PROC}`, ...own),
      caps: ["-all", ...DOCKER_CAPS, "+sys_admin"],
      env: dockerEnv,
    }),
    container("Docker, `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`", {
      outer: mounted(proc, ...own),
      caps: ["-all", ...DOCKER_CAPS],
      env: dockerEnv,
    }),
    container("LXC, privileged", {
      outer: mounted(`${proc}\n${readOnly("proc/sys", "proc/sysrq-trigger", "sys")}`, ...own),
      caps: ["-sys_module", "-mac_admin", "-mac_override", "-sys_time"],
      inner: room.without(
        EPERM,
        ...["kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"],
      ),
      env: { container: "lxc" },
    }),
    container("LXC, unprivileged: a user namespace of many ids", {
      outer: rooted(room, 100000, "0 100000 65536", {
        script: readOnly("proc/sys", "proc/sysrq-trigger"),
      }),
      env: { container: "lxc" },
      root: "/look",
    }),
    container("systemd-nspawn", {
      outer: mounted(`${proc}\n${readOnly("proc/sys", "proc/sysrq-trigger", "sys")}`, ...own),
      caps: [
        "-sys_module",
        "-sys_rawio",
        "-sys_time",
        "-syslog",
        "-wake_alarm",
        "-mac_admin",
        "-bpf",
        "-perfmon",
      ],
      inner: room.without(
        EPERM,
        ...[
          "add_key",
          "keyctl",
          "request_key",
          "bpf",
          "kexec_load",
          "open_by_handle_at",
          "perf_event_open",
        ],
        ...["init_module", "finit_module", "delete_module", "syslog", "userfaultfd"],
      ),
      env: { container: "systemd-nspawn" },
    }),
    container("podman without root, many ids", {
      outer: rooted(room, 65534, "0 65534 1\n1 100000 65536", {
        script: DOCKER_PROC,
        rules: docker(),
      }),
      caps: ["-all", ...DOCKER_CAPS],
      env: { container: "podman" },
      root: "/look",
    }),
    container("podman without root, one id", {
      outer: rooted(room, 65534, "0 65534 1", { script: DOCKER_PROC, rules: docker() }),
      caps: ["-all", ...DOCKER_CAPS],
      env: { container: "podman" },
      root: "/look",
      users: ["root"],
    }),
    ...["0 65534 1\n1 100000 65536", "0 65534 1"].map((map) =>
      container(
        `podman without root, ${map.includes("\n") ? "many ids" : "one id"}, \`--security-opt seccomp=unconfined --security-opt unmask=ALL\``,
        {
          outer: rooted(room, 65534, map),
          caps: ["-all", ...DOCKER_CAPS],
          env: { container: "podman" },
          root: "/look",
          ...(!map.includes("\n") && { users: ["root"] as const }),
        },
      ),
    ),
  ];
}

interface Around {
  /** What is mounted over parts of it. */
  readonly script?: string;
  readonly rules?: readonly Rule[];
}

/** As root of a user namespace, in a root whose files are that root's. */
function rooted(
  room: Room,
  owner: number,
  map: string,
  { script = "", ...more }: Around = {},
): string[] {
  // Only root can give files away.
  const root = isRoot ? room.tree(owner) : "/";
  return room.userns(map, {
    ...more,
    root,
    script: `mount --bind ${root} ${root}
cd ${root}
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/shm
mount -t tmpfs shm dev/shm
mount -t tmpfs tmp tmp
ip link set lo up
${script}`,
  });
}

function fileSystems(room: Room): Place[] {
  const place = (name: string, script: string, more: Partial<Place> = {}): Place => ({
    ...{ name, kind: "file systems", outer: mounted(script) },
    ...more,
  });
  return [
    place("a read-only root", "mount -o remount,bind,ro /"),
    place(
      "`/tmp` noexec, nosuid, nodev",
      `mount --rbind /tmp /mnt
mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 none /tmp
mkdir ${room.path}; mount --bind /mnt/${basename(room.path)} ${room.path}`,
    ),
    place(
      "no `/dev/shm`",
      "umount -l /dev/shm 2>/dev/null || :; mount -t tmpfs -o size=0,mode=0 none /dev/shm",
    ),
    place("no `/sys`", "mount -t tmpfs -o ro none /sys"),
    place("no `/etc/passwd`", "mount --bind /dev/null /etc/passwd"),
    place("`hidepid=2`", "mount -t proc -o hidepid=2 proc /proc", {
      outer: ownProc("mount -o remount,hidepid=2 /proc"),
    }),
    place("no `/proc`", "mount -t tmpfs -o ro none /proc"),
    place("no loopback", "ip link set lo down", { outer: mounted("", "--net") }),
    place("IPv6 only", "", {
      outer: mounted("ip link set lo up; ip address del 127.0.0.1/8 dev lo", "--net"),
      serve: ["--host", "::1"],
      missing: () => (existsSync("/proc/sys/net/ipv6") ? undefined : "this kernel has no IPv6"),
    }),
  ];
}

function limits(): Place[] {
  const limit = (name: string, option: string): Place => ({
    ...{ name, kind: "limits", outer: ["prlimit", option], caps: ["-sys_resource"] },
  });
  return [
    limit("512 open files", "--nofile=512:512"),
    limit("256 open files", "--nofile=256:256"),
    limit("64 open files", "--nofile=64:64"),
    limit("32 open files", "--nofile=32:32"),
    limit("no locked memory", "--memlock=0:0"),
    limit("no core files", "--core=0:0"),
    limit("files of 1 MB", "--fsize=1000000:1000000"),
    limit("a stack of 1 MB", "--stack=1048576:1048576"),
    limit("4 GB of address space", "--as=4000000000:4000000000"),
  ];
}

function settings(room: Room): Place[] {
  const noexec = "/proc/sys/vm/memfd_noexec";
  const setting = (name: string, how: Partial<Place>): Place => ({
    ...{ name: `\`${name}\``, kind: "kernel settings" },
    ...how,
  });
  const missing = sinceSysctl(noexec, "Linux 6.3");
  const whole = room.userns("0 0 4294967295");
  return [
    setting("vm.memfd_noexec=1", { outer: ownProc(`echo 1 >${noexec}`), missing }),
    setting("vm.memfd_noexec=2", { outer: ownProc(`echo 2 >${noexec}`), missing }),
    ...["user", "pid", "net", "ipc", "uts", "mnt", "cgroup"].map((kind) =>
      setting(`user.max_${kind}_namespaces=0`, {
        outer: [
          ...whole,
          ...["sh", "-ec", `echo 0 >/proc/sys/user/max_${kind}_namespaces; exec "$@"`, "sh"],
        ],
      }),
    ),
  ];
}

/** Each way of a launch that a filter of some runtime takes away. */
function filters(room: Room): Place[] {
  const both = (...calls: string[]): Place[] =>
    [EPERM, ENOSYS].map((errno) => ({
      name: `${calls.map((call) => `\`${call}\``).join(", ")}: ${errno === EPERM ? "EPERM" : "ENOSYS"}`,
      kind: "filters",
      inner: room.without(errno, ...calls),
    }));
  return [
    ...both("clone3"),
    ...both("openat2"),
    ...both("close_range"),
    ...both("pidfd_open"),
    ...both("mount_setattr"),
    ...both("memfd_create"),
    ...both("fsopen"),
    ...both("keyctl"),
    ...both("seccomp"),
    ...both("prlimit64"),
    ...both("eventfd2"),
    ...both("capset"),
    ...both("setgroups"),
    ...both("flock"),
    ...both("statx"),
    ...both("getgroups"),
    ...both("epoll_create1"),
  ];
}
