/** What QEMU itself tells of a machine, and is told, by its machine protocol (docs/interop/qmp-spec). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";

export interface Monitor extends Disposable {
  /** For the command line of QEMU. */
  readonly args: readonly string[];
  /** Ends the machine at once, whatever it does. */
  quit(): void;
}

/**
 * @param onSuspend called when the machine has suspended itself to memory (ACPI S3), which ends it: nobody wakes it, since emulated
 *   disks do not always come back
 * @returns to be disposed of when the machine has ended
 */
export function monitor(onSuspend: () => void): Monitor {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-qmp-"));
  const unix = join(dir, "socket");
  let text = "";
  let qemu: Socket | undefined;
  const quit = () => void qemu?.write('{"execute":"quit"}\n');
  const listener = Bun.listen({
    unix,
    socket: {
      open(socket) {
        qemu = socket;
        socket.write('{"execute":"qmp_capabilities"}\n');
      },
      data(_socket, bytes) {
        text += bytes.toString();
        if (!text.includes('"event": "SUSPEND"')) return;
        text = "";
        onSuspend();
        quit();
      },
    },
  });
  return {
    args: ["-qmp", `unix:${unix}`],
    quit,
    [Symbol.dispose]() {
      listener.stop(true);
      rmSync(dir, { recursive: true });
    },
  };
}
