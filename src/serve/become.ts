/** The early server's side of the hand-over: it becomes the service that another process was started for. */
import { resolve } from "node:path";
import { CError } from "../../ffi/errno.ts";
import { hasEnded, type Process } from "../../ffi/processes.ts";
import type { Answer, Joining } from "../boot/handover.ts";
import type { RunningRegistry } from "../api/registry.ts";
import { problemLine } from "../config/problem.ts";
import { groupOf, moveTo } from "../launch/cgroup/move.ts";
import { confinement } from "../launch/confinement.ts";
import type { Endpoint } from "../server/endpoint.ts";
import type { RunningServer } from "../server/server.ts";
import { takeSockets } from "../service/activation.ts";
import { type ServiceManager, serviceManager } from "../service/notify.ts";
import { type Output, takeOutput } from "../service/output.ts";
import type { Reload, Reloads } from "../service/reload.ts";
import type { Changes } from "../service/reload-verb.ts";
import type { Loaded } from "./access.ts";
import type { Auditing, Change } from "./auditing.ts";
import type { FleetDeps, Fleeting } from "./fleet.ts";
import type { Source } from "../command-line/config-option.ts";
import { doctor } from "./doctor.ts";
import type { Encryption } from "./encryption.ts";
import type { Keeping } from "./keeping.ts";
import { type Mesh, sorted } from "./mesh.ts";
import type { Metering } from "./metering.ts";
import { parseServe, type ServeOptions } from "./options.ts";
import type { Permissions } from "./permissions.ts";

export interface Reloaded {
  readonly changes: Changes;
  readonly now: Loaded;
}

/** What of a running server changes. */
export interface Serving {
  readonly registry: RunningRegistry;
  readonly server: RunningServer;
  readonly mesh: Mesh;
  readonly permissions: Permissions;
  readonly encryption: Encryption;
  readonly auditing: Auditing;
  readonly metering: Metering;
  /** What --metrics-privilege says. */
  metricsPrivilege: string | undefined;
  readonly keeping: Keeping;
  readonly fleeting: Fleeting;
  readonly fleetDeps: FleetDeps;
  /** Where other binders are that it calls. */
  reached: Pick<ServeOptions, "imports" | "exports">;
  /** What it serves, as it was read. */
  readonly loaded: Loaded;
  readonly reloads: Reloads<Loaded, Reloaded>;
  sources: readonly Source[];
  /** What --access says. */
  access: string | undefined;
  manager: ServiceManager;
  /** One line for the service manager. */
  status(): string;
}

/** Everything or nothing: after problems it serves on as it did. Who asks for a reload meanwhile gets it afterwards. */
export function become(joining: Joining, joiner: Process, serving: Serving): Promise<Answer> {
  return serving.reloads.alone((reload) => becomeBy(reload, joining, joiner, serving));
}

async function becomeBy(
  reload: Reload<Loaded, Reloaded>,
  joining: Joining,
  joiner: Process,
  serving: Serving,
): Promise<Answer> {
  const options = parseServe([...joining.argv], joining.env);
  if (!options) return { unfit: "nothing is to be served" };
  const { sources, access, loaded, registry, server, mesh, permissions, encryption, reached } =
    serving;
  const { address } = permissions;
  const { auditing, metricsPrivilege } = serving;
  const before = new Set(registry.list().map(({ api }) => api));
  const isNew = (api: string): boolean => !before.has(api);
  const undo: (() => void)[] = [];
  let replaced = false;
  const giveBack = async (): Promise<void> => {
    await audit?.giveBack();
    for (const step of undo.reverse()) step();
    if (!replaced) return;
    // As it was read, whatever is in the files by now.
    const { problems } = await reload(loaded);
    for (const problem of problems) console.error(problemLine(problem));
    // What the actions have started, as at a start that fails: each try would leave another.
    await registry.endGone(isNew);
  };
  const environment = { ...process.env };
  const cwd = process.cwd();
  undo.push(() => {
    setEnvironment(environment);
    process.chdir(cwd);
  });
  let notMoved: string | undefined;
  let output: Output | undefined;
  let audit: Change | undefined;
  let joinsFleet: Awaited<ReturnType<Fleeting["read"]>>;
  try {
    process.chdir(joining.cwd);
    setEnvironment(joining.env);
    output = takeOutput(joiner.pidfd);
    undo.push(output.drop);
    // First, since the groups of the sandboxes are made below the one that the server is in.
    notMoved = moveInto(joiner, undo);
    const early = absolute(sources, cwd);
    const known = new Set(early.map(({ path }) => path));
    const asked = absolute(options.sources, joining.cwd);
    serving.sources = [...early, ...asked.filter(({ path }) => !known.has(path))];
    serving.access = options.access;
    serving.reached = together(reached, options);
    serving.metricsPrivilege = options.metricsPrivilege;
    permissions.use(options.cynagora);
    const { tls } = encryption;
    await encryption.show(options.tls ?? tls);
    undo.push(() => {
      Object.assign(serving, { sources, access, reached, metricsPrivilege });
      permissions.use(address);
      void encryption.show(tls);
    });
    joinsFleet = await serving.fleeting.read(options.fleet);
    undo.push(await serving.fleeting.offer(joinsFleet));
    // Before anything of it runs.
    audit = await auditing.use(options.audit);
    const { problems, ok } = await reload();
    if (!ok) {
      await giveBack();
      return { problems: [...problems] };
    }
    replaced = true;
    // The actions of what is new here; those of the early configs have been run. Before anything else can be called, as at a start.
    await registry.start(isNew);
    requireAlive(joiner);
    const { http, named } = sorted(takeSockets(joiner, joining.env), options.exports);
    const inherited = http.map((fd): Endpoint => ({ kind: "fd", fd }));
    const { endpoints, otherwise, origins, hosts, base, pages, console: page } = options;
    const wanted = [...endpoints, ...inherited];
    // First, since it is the one of both that can be taken back.
    undo.push(await mesh.open(options, named));
    const places = wanted.length > 0 ? wanted : [otherwise];
    const { insecure, proxies } = options;
    const protection = { secure: encryption.secure, insecure };
    await server.extend({
      ...{ endpoints: places, origins, hosts, base, pages, console: page },
      ...{ protection, proxies },
      mcp: options.mcp ? { doctor } : undefined,
    });
  } catch (error) {
    await giveBack();
    const unfit = deniedBy(error);
    if (unfit !== undefined) return { unfit };
    throw error;
  }
  await audit.keep();
  output.use();
  await serving.keeping.use(options.history, serving.registry);
  await serving.fleeting.join(joinsFleet, serving.fleetDeps);
  serving.manager.close();
  serving.manager = serviceManager(process.env, console.error, joiner.pid);
  if (notMoved !== undefined) console.error(`spawnbox: ${notMoved}`);
  void permissions.notice().then((notice) => notice !== undefined && console.error(notice));
  console.log(`spawnbox early, since boot, is this service now: ${serving.status()}`);
  return { status: serving.status() };
}

/** Why nobody here gets what another process has open, whatever the configs say. */
export function deniedBy(error: unknown): string | undefined {
  if (!(error instanceof CError) || error.call !== "pidfd_getfd") return undefined;
  if (error.errno !== "EPERM" && error.errno !== "ENOSYS") return undefined;
  const scope = confinement().setting("kernel.yama.ptrace_scope");
  const who =
    scope === "3" ? "kernel.yama.ptrace_scope is 3" : "a filter or a security module denies it";
  return `it cannot have the output and sockets of the unit's process (${error.message}: ${who})`;
}

/** Those of both, each once. */
export function together(one: Serving["reached"], other: Serving["reached"]): Serving["reached"] {
  const known = (list: readonly { uri: string }[]) => new Set(list.map(({ uri }) => uri));
  const [imports, exports] = [known(one.imports), known(one.exports)];
  return {
    imports: [...one.imports, ...other.imports.filter(({ uri }) => !imports.has(uri))],
    exports: [...one.exports, ...other.exports.filter(({ uri }) => !exports.has(uri))],
  };
}

/** Into the group of the process that asks. Says why that is not possible: the service manager then finds us by our pid alone. */
function moveInto(joiner: Process, undo: (() => void)[]): string | undefined {
  const [own, target] = [groupOf("self"), groupOf(joiner.pid)];
  requireAlive(joiner);
  if (own === undefined || target === undefined || own === target) return undefined;
  const why = moveTo(target);
  if (why === undefined) undo.push(() => moveTo(own));
  return why;
}

function requireAlive({ pidfd }: Process): void {
  if (hasEnded(pidfd)) throw new Error("the process that asked has ended");
}

/** Wherever the process goes. */
const absolute = (sources: readonly Source[], cwd: string): Source[] =>
  sources.map(({ kind, path }) => ({ kind, path: resolve(cwd, path) }));

export function setEnvironment(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
}
