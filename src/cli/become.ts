/** The early server's side of the hand-over: it becomes the service that another process was started for. */
import { hasEnded, type Process } from "../../ffi/processes.ts";
import type { Answer, Joining } from "../boot/handover.ts";
import type { Registry } from "../api/registry.ts";
import { groupOf, moveTo } from "../launch/cgroup/move.ts";
import type { Endpoint } from "../server/endpoint.ts";
import type { RunningServer } from "../server/server.ts";
import { takeSockets } from "../service/activation.ts";
import { type ServiceManager, serviceManager } from "../service/notify.ts";
import { type Output, takeOutput } from "../service/output.ts";
import type { Reload } from "../service/reload.ts";
import type { Changes } from "../service/reload-verb.ts";
import type { Loaded } from "./access-option.ts";
import type { Source } from "./config-option.ts";
import { parseServe } from "./serve-options.ts";

export interface Reloaded {
  readonly changes: Changes;
  readonly now: Loaded;
}

/** What of a running server changes. */
export interface Serving {
  readonly registry: Registry;
  readonly server: RunningServer;
  readonly reload: Reload<Reloaded>;
  sources: readonly Source[];
  /** What --access says. */
  access: string | undefined;
  manager: ServiceManager;
  /** One line for the service manager. */
  status(): string;
}

/** Everything or nothing: after problems it serves on as it did. */
export async function become(joining: Joining, joiner: Process, serving: Serving): Promise<Answer> {
  const options = parseServe([...joining.argv], joining.env);
  if (!options) return { unfit: "nothing is to be served" };

  const undo: (() => void)[] = [];
  const giveBack = (): void => {
    for (const step of undo.reverse()) step();
  };
  const { sources, access, registry, server } = serving;
  const environment = { ...process.env };
  const cwd = process.cwd();
  undo.push(() => {
    process.chdir(cwd);
    setEnvironment(environment);
  });
  let notMoved: string | undefined;
  let output: Output | undefined;
  try {
    process.chdir(joining.cwd);
    setEnvironment(joining.env);
    output = takeOutput(joiner.pidfd);
    undo.push(output.drop);
    // First, since the groups of the sandboxes are made below the one that the server is in.
    notMoved = moveInto(joiner, undo);
    const known = new Set(sources.map(({ path }) => path));
    serving.sources = [...sources, ...options.sources.filter(({ path }) => !known.has(path))];
    serving.access = options.access;
    undo.push(() => Object.assign(serving, { sources, access }));
    const before = new Set(registry.list().map(({ api }) => api));
    const { problems, ok } = await serving.reload();
    if (!ok) {
      giveBack();
      return { problems: [...problems] };
    }
    undo.push(() => void serving.reload());
    // The actions of what is new here; those of the early configs have been run. Before anything else can be called, as at a start.
    await registry.start((api) => !before.has(api));
    const inherited = takeSockets(joiner, joining.env).map((fd): Endpoint => ({
      kind: "fd",
      fd,
    }));
    const { endpoints, otherwise, origins, hosts, pages } = options;
    const wanted = [...endpoints, ...inherited];
    const places = wanted.length > 0 ? wanted : [otherwise];
    await server.extend({ endpoints: places, origins, hosts, pages });
  } catch (error) {
    giveBack();
    throw error;
  }
  output.use();
  serving.manager.close();
  serving.manager = serviceManager(process.env);
  if (notMoved !== undefined) console.error(`spawnbox: ${notMoved}`);
  console.log(`spawnbox early, since boot, is this service now: ${serving.status()}`);
  return { status: serving.status() };
}

/** Into the group of the process that asks. Says why that is not possible: the service manager then finds us by our pid alone. */
function moveInto({ pid, pidfd }: Process, undo: (() => void)[]): string | undefined {
  const [own, target] = [groupOf("self"), groupOf(pid)];
  if (hasEnded(pidfd)) throw new Error("the process that asked has ended");
  if (own === undefined || target === undefined || own === target) return undefined;
  const why = moveTo(target);
  if (why === undefined) undo.push(() => moveTo(own));
  return why;
}

function setEnvironment(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
}
