/** `spawnbox install` on a machine that runs: of what systemd and initramfs-tools are asked there, and when. */
import { describe, expect, test } from "bun:test";
import { runMachine } from "../boot/rooted.ts";

/** Each notes what it is asked. The service runs where there is /active; an initramfs can be made where there is /made. */
const files = {
  "/sbin/systemctl": `#!/bin/sh
echo "systemctl $*" >>/asked
# A version that does not start where there is /broken.
[ "$1" != restart ] || [ ! -e /broken ] || ! cmp -s /spawnbox /usr/bin/spawnbox || { echo "it failed" >&2; exit 1; }
[ "$1" != is-active ] || [ -e /active ]
`,
  "/usr/sbin/update-initramfs": `#!/bin/sh
echo "update-initramfs $*" >>/asked
[ ! -e /made ] || echo "update-initramfs: Generating /boot/initrd.img-6.1.0"
`,
};
const SYSTEMD = "mkdir -p /run/systemd/system";
const TOOLS = "mkdir -p /usr/share/initramfs-tools/scripts; touch /made";

/** Of each command line: what it printed, of that what it says to errors, its exit code where it is not 0, and what was asked. */
function machine(before: string, lines: readonly string[], cmdline?: string) {
  const one = (line: string) => `rm -f /asked
{ ${line}; } 2>&1 || echo "exit $?"
[ ! -e /asked ] || cat /asked
echo --`;
  const script = `set -e
spawnbox() { /spawnbox "$@"; }
${before}
set +e
${lines.map(one).join("\n")}`;
  const said = runMachine({ hasProgram: true, files, script, ...(cmdline && { cmdline }) });
  return said
    .split("--\n")
    .slice(0, -1)
    .map((part) => part.trimEnd().split("\n"));
}

const INIT = "/usr/lib/spawnbox/init";
const PLACES = [
  "/usr/bin/spawnbox",
  "/etc/systemd/system/spawnbox.service",
  "/etc/spawnbox/spawn-board.json",
];
const EARLY = [INIT, "/etc/spawnbox/early.json"];
const SCRIPT = "/etc/initramfs-tools/scripts/init-bottom/spawnbox";
const installed = (...paths: string[]) => paths.map((path) => `installed ${path}`);
const again = (...paths: string[]) =>
  paths.map((path) => (path.endsWith(".json") ? `kept      ${path}` : `unchanged ${path}`));
const removed = (...paths: string[]) =>
  paths.map((path) => (path.endsWith(".json") ? `kept      ${path}` : `removed   ${path}`));

const JOURNAL = "spawnbox.service: journalctl -u spawnbox";
const ENABLED = ["systemctl daemon-reload", "systemctl enable --quiet spawnbox.service"];
const ASKED = [...ENABLED, "systemctl is-active --quiet spawnbox.service"];
const FORGOTTEN = ["systemctl daemon-reload", "systemctl reset-failed spawnbox.service"];
const PUT = `put init=${INIT} on the kernel command line (U-Boot: bootargs) and reboot; spawnbox.deadline=SECONDS there says how long early tasks may hold up the boot`;
const STARTS =
  "the initramfs starts it; with spawnbox.early=off on the kernel command line a boot is without it";
const GENERATING = "update-initramfs: Generating /boot/initrd.img-6.1.0";

describe("with systemd", () => {
  test("the service is started, again where what it runs has changed, and taken away", () => {
    expect(
      machine(SYSTEMD, [
        "spawnbox install",
        "touch /active; spawnbox install --root /etc/..",
        "echo >/etc/systemd/system/spawnbox.service; spawnbox install",
        "spawnbox install --uninstall",
        "spawnbox install --uninstall",
      ]),
    ).toEqual([
      [
        ...installed(...PLACES),
        `started   ${JOURNAL}`,
        ...ASKED,
        "systemctl start spawnbox.service",
      ],
      // However it is written, it is this machine.
      [...again(...PLACES), `runs already ${JOURNAL}`, ...ASKED],
      [
        "unchanged /usr/bin/spawnbox",
        "updated   /etc/systemd/system/spawnbox.service",
        "kept      /etc/spawnbox/spawn-board.json",
        `restarted ${JOURNAL}`,
        ...ASKED,
        "systemctl restart spawnbox.service",
      ],
      [...removed(...PLACES), "systemctl disable --now --quiet spawnbox.service", ...FORGOTTEN],
      ["kept      /etc/spawnbox/spawn-board.json", ...FORGOTTEN],
    ]);
  });
  test("where the new version does not start, that of before comes back, its unit too", () => {
    const unit = "/etc/systemd/system/spawnbox.service";
    const old = `mkdir -p /usr/bin; echo old >/usr/bin/spawnbox; echo old >${unit}`;
    const restart = "systemctl restart spawnbox.service";
    const [, updated, seen, either] = machine(`${SYSTEMD}; touch /active /broken`, [
      `mkdir -p ${unit.replace(/[^/]+$/, "")}; ${old}`,
      "spawnbox install",
      `cat /usr/bin/spawnbox ${unit}; ls -A /usr/bin /etc/systemd/system`,
      // Nor does that.
      `cp /spawnbox /usr/bin/; echo old >${unit}; spawnbox install 2>&1 | tail -n 1`,
    ]);
    const back = (how: string) =>
      `What was there before is back, and ${how}: see journalctl -u spawnbox, and spawnbox check /etc/spawnbox of the new version`;
    expect(updated).toEqual([
      "updated   /usr/bin/spawnbox",
      `updated   ${unit}`,
      "installed /etc/spawnbox/spawn-board.json",
      "spawnbox install: systemctl restart spawnbox.service: it failed",
      back("runs"),
      "exit 1",
      ...ASKED,
      restart,
      ...["systemctl daemon-reload", restart],
    ]);
    expect(seen).toEqual([
      ...["old", "old", "/etc/systemd/system:", "spawnbox.service", "", "/usr/bin:", "spawnbox"],
    ]);
    expect(either?.[0]).toBe(back("does not run either"));

    // The init of early boot and the program are of one version, and a hook of before that was none is none.
    const places = `${INIT} ${SCRIPT} /usr/bin/spawnbox`;
    const early = machine(`${SYSTEMD}; ${TOOLS}; touch /active /broken`, [
      `mkdir -p ${unit.replace(/[^/]+$/, "")} ${INIT.replace(/[^/]+$/, "")}; ${old}; echo old >${INIT}`,
      "spawnbox install --initramfs 2>&1 | tail -n 1",
      `head -qc 9 ${places} 2>&1; ls -A ${places.replaceAll(/\/[^/]+( |$)/g, " ")}`,
    ]);
    expect(early[1]?.[0]).toBe(back("runs"));
    expect(early[2]?.slice(0, 3)).toEqual([
      "old",
      `head: cannot open '${SCRIPT}' for reading: No such file or directory`,
      "old",
    ]);
    expect(early[2]?.filter((name) => name.endsWith("-old"))).toEqual([]);
  });
  test("--no-start, and the root of an image, leave it alone", () => {
    const enable = "to be started at boot: systemctl --root=/image enable spawnbox.service";
    const image = (paths: string[]) => paths.map((path) => `/image${path}`);
    expect(
      machine(`${SYSTEMD}; mkdir /image`, [
        "spawnbox install --no-start",
        "spawnbox install --root /image",
        "spawnbox install --uninstall --no-start",
        "spawnbox install --uninstall --root /image",
      ]),
    ).toEqual([
      installed(...PLACES),
      [...installed(...image(PLACES)), enable],
      removed(...PLACES),
      removed(...image(PLACES)),
    ]);
  });
});

test("without systemd it is said how it is enabled, and nothing else", () => {
  expect(machine(":", ["spawnbox install", "spawnbox install --uninstall"])).toEqual([
    [
      ...installed(...PLACES),
      "systemd does not run here: spawnbox.service is not started; at boot: systemctl enable spawnbox.service",
    ],
    removed(...PLACES),
  ]);
});

const WANTED = "/etc/systemd/system/multi-user.target.wants";

test("what enabled it goes with it, where systemctl could not be asked", () => {
  const enable = (root: string) =>
    `mkdir -p ${root}${WANTED} ${root}/etc/systemd/system/x.target.requires; ln -s ../spawnbox.service ${root}${WANTED}; ln -s ../spawnbox.service ${root}/etc/systemd/system/x.target.requires; touch ${root}${WANTED}/other.service ${root}/etc/systemd/system/no.wants`;
  const links = [
    `removed   ${WANTED}/spawnbox.service`,
    "removed   /etc/systemd/system/x.target.requires/spawnbox.service",
  ];
  const [, here, , image, left] = machine("mkdir /image", [
    `spawnbox install; ${enable("")}`,
    "spawnbox install --uninstall",
    `spawnbox install --root /image; ${enable("/image")}`,
    "spawnbox install --uninstall --root /image",
    `ls ${WANTED} /image${WANTED}`,
  ]);
  expect(here?.slice(PLACES.length).toSorted()).toEqual(links.toSorted());
  const inImage = links.map((line) => line.replace("   /", "   /image/"));
  expect(image?.slice(PLACES.length).toSorted()).toEqual(inImage.toSorted());
  const kept = [`${WANTED}:`, "other.service"];
  expect(left).toEqual([...kept, "", `/image${kept[0]}`, "other.service"]);
});

test("the unit of a package is not hidden by another one, and what it starts is not taken away", () => {
  const unit = "/usr/lib/systemd/system/spawnbox.service";
  const [program = "", own = "", config = ""] = PLACES;
  const because = `: a package brings ${unit}, remove that package`;
  expect(
    machine(`${SYSTEMD}; mkdir -p ${unit.replace(/[^/]+$/, "")} ${WANTED}; touch ${unit}`, [
      "spawnbox install --early",
      `ln -s ${unit} ${WANTED}; spawnbox install --uninstall; ls -d ${program} ${WANTED}/*`,
      // One from before the package came.
      `echo old >${own}; touch /active; spawnbox install; ls ${WANTED}`,
      `echo old >${own}; spawnbox install --no-start >/dev/null; rm /active; ls ${WANTED} ${own}`,
      `echo old >${own}; spawnbox install --uninstall`,
    ]),
  ).toEqual([
    [
      `installed ${program}`,
      `packaged  ${unit}`,
      `installed ${config}`,
      ...installed(...EARLY),
      `started   ${JOURNAL}`,
      PUT,
      ...ASKED,
      "systemctl start spawnbox.service",
    ],
    [
      `kept      ${program}${because}`,
      `kept      ${config}`,
      `kept      ${INIT}${because}`,
      "kept      /etc/spawnbox/early.json",
      `${WANTED}/spawnbox.service`,
      program,
      "systemctl daemon-reload",
    ],
    [
      `unchanged ${program}`,
      `removed   ${own}`,
      `packaged  ${unit}`,
      `kept      ${config}`,
      `restarted ${JOURNAL}`,
      ...ASKED,
      "systemctl restart spawnbox.service",
    ],
    [`ls: cannot access '${own}': No such file or directory`, `${WANTED}:`, "exit 2"],
    [
      `kept      ${program}${because}`,
      `removed   ${own}`,
      `kept      ${config}`,
      `kept      ${INIT}${because}`,
      "kept      /etc/spawnbox/early.json",
      "systemctl daemon-reload",
      "systemctl try-restart spawnbox.service",
    ],
  ]);
});

describe("an initramfs of initramfs-tools", () => {
  test("is made anew where the script has come, changed or gone, and else not", () => {
    const update = "update-initramfs -u";
    const all = [...PLACES, ...EARLY];
    expect(
      machine(TOOLS, [
        "spawnbox install --no-start --initramfs",
        "spawnbox install --no-start --initramfs",
        "spawnbox install --no-start --early",
        `echo >${SCRIPT}; spawnbox install --no-start --initramfs`,
        "spawnbox install --uninstall",
        "spawnbox install --uninstall",
      ]),
    ).toEqual([
      [...installed(...all, SCRIPT), GENERATING, STARTS, update],
      [...again(...all, SCRIPT), STARTS],
      [...again(...all), STARTS],
      [...again(...all), `updated   ${SCRIPT}`, GENERATING, STARTS, update],
      [...removed(...all, SCRIPT), GENERATING, update],
      removed(...all).filter((line) => line.startsWith("kept")),
    ]);
  });
  test("is none of this machine's where an image is installed into, or the tools have gone", () => {
    const into = (root: string) => [...PLACES, ...EARLY, SCRIPT].map((path) => root + path);
    expect(
      machine(`${TOOLS}; mkdir -p /image/usr/share/initramfs-tools/scripts`, [
        "spawnbox install --initramfs --root /image",
        "spawnbox install --uninstall --root /image",
        "spawnbox install --no-start --initramfs >/dev/null; rm -r /usr/share /asked; spawnbox install --uninstall",
        "spawnbox install --initramfs",
      ]),
    ).toEqual([
      [
        ...installed(...into("/image")),
        "to be started at boot: systemctl --root=/image enable spawnbox.service",
        "make its initramfs anew: chroot /image update-initramfs -u",
        STARTS,
      ],
      removed(...into("/image")),
      removed(...into("")),
      [
        `spawnbox install: --initramfs: initramfs-tools is not installed there, and it makes no other's initramfs: take --early, and put init=${INIT} on the kernel command line`,
        "exit 1",
      ],
    ]);
  });
  test("that was not made is told", () => {
    expect(machine(`${TOOLS}; rm /made`, ["spawnbox install --no-start --initramfs"])).toEqual([
      [
        ...installed(...PLACES, ...EARLY, SCRIPT),
        "spawnbox install: /usr/sbin/update-initramfs -u: it found none that it may make anew",
        "The initramfs is as it was: mend that, and run /usr/sbin/update-initramfs -u",
        "exit 1",
        "update-initramfs -u",
      ],
    ]);
  });
});

test("where the kernel is told of the init, it starts what is new, and that is not taken away", () => {
  const cmdline = `quiet init=${INIT}`;
  const lines = ["spawnbox install --no-start --early", "spawnbox install --uninstall"];
  expect(machine(SYSTEMD, lines, cmdline)).toEqual([
    [...installed(...PLACES, ...EARLY), "the kernel starts it: the next boot takes what is new"],
    [
      `spawnbox install: ${INIT} is what the kernel starts: without it this machine would not boot. Take init=${INIT} off the kernel command line first, and any link to it away from /sbin/init`,
      "exit 1",
    ],
  ]);
  expect(machine(":", lines.slice(0, 1))[0]?.at(-1)).toBe(PUT);
});

test("where there is no room it is said that the old file stays", () => {
  expect(
    machine(
      "mkdir -p /usr/bin; mount -t tmpfs -o size=1m small /usr/bin; echo old >/usr/bin/spawnbox",
      ["spawnbox install", "ls -A /usr/bin; cat /usr/bin/spawnbox"],
    ),
  ).toEqual([
    [
      "spawnbox install: ENOSPC: no space left on device, write /usr/bin/spawnbox: make room; the old file stays until the new one is complete",
      "exit 1",
    ],
    ["spawnbox", "old"],
  ]);
});
