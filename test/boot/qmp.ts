/** What QEMU itself tells of a machine, by its machine protocol (docs/interop/qmp-spec). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Calls back when the machine has suspended itself to memory (ACPI S3), and ends it: nobody wakes it, since emulated disks do not
 * always come back.
 * @returns arguments for QEMU; it is to be disposed of when the machine has ended
 */
export function onSuspend(call: () => void): { readonly args: readonly string[] } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-qmp-"));
  const unix = join(dir, "socket");
  let text = "";
  const listener = Bun.listen({
    unix,
    socket: {
      open: (socket) => void socket.write('{"execute":"qmp_capabilities"}\n'),
      data(socket, bytes) {
        text += bytes.toString();
        if (!text.includes('"event": "SUSPEND"')) return;
        text = "";
        call();
        socket.write('{"execute":"quit"}\n');
      },
    },
  });
  return {
    args: ["-qmp", `unix:${unix}`],
    [Symbol.dispose]() {
      listener.stop(true);
      rmSync(dir, { recursive: true });
    },
  };
}
