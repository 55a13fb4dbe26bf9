/** `spawnbox serve`: the service. */
import type { Handover } from "../boot/handover.ts";
import type { Granted } from "../api/privileges.ts";
import { createRegistry, type Registry, type RunningRegistry } from "../api/registry.ts";
import type { Verb } from "../api/verb.ts";
import { ConfigError, problemLine } from "../config/problem.ts";
import { AfbError } from "../errors.ts";
import { compileReadily } from "../jit.ts";
import { Launching, withNotices } from "../launch/launching.ts";
import { doctorVerb } from "../doctor/verb.ts";
import { metricsVerb } from "../metrics/verb.ts";
import { explain } from "../plan/explain.ts";
import type { ApiPlan } from "../plan/plan.ts";
import type { Base } from "../server/base.ts";
import type { Endpoint } from "../server/endpoint.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import { Accounts, watchAccounts } from "../service/accounts.ts";
import { inheritedSockets } from "../service/activation.ts";
import { serviceManager } from "../service/notify.ts";
import { forgetStart } from "../service/start-code.ts";
import { keepSmall } from "../service/thrift.ts";
import { createReloads, type ReloadResult } from "../service/reload.ts";
import { changesOf, reloadVerb } from "../service/reload-verb.ts";
import { version } from "../version.ts";
import { indented, visible } from "../visible.ts";
import { load, type Loaded } from "../serve/access.ts";
import { Auditing, unaudited } from "../serve/auditing.ts";
import { become, type Reloaded, type Serving } from "../serve/become.ts";
import { Encryption } from "../serve/encryption.ts";
import { doctor } from "../serve/doctor.ts";
import { endPatience } from "../encoders/written.ts";
import { printWithoutWaiting } from "../printed.ts";
import { toTerminal } from "../terminal-output.ts";
import { drained, untilStopped } from "../serve/ending.ts";
import { Fleeting, type FleetDeps } from "../serve/fleet.ts";
import { Keeping } from "../serve/keeping.ts";
import { binders, Dialling, Mesh, sorted } from "../serve/mesh.ts";
import { Metering, metricsPrivileges } from "../serve/metering.ts";
import { Permissions } from "../serve/permissions.ts";
import { type Room, roomFor } from "../serve/room.ts";
import { manual, parseServe, type ServeOptions } from "../serve/options.ts";
import { withOptions } from "../command-line/usage.ts";

export { manual };

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parseServe, argv, async (options) => {
    if (!options.early) return serve(options);
    const { joinEarly } = await import("../serve/join.ts");
    return (await joinEarly(argv)) ?? serve(options);
  });

/** What a server of early boot does besides. */
export interface EarlyBoot {
  readonly handover: Handover;
  /** Once the first calls would be answered. */
  onReady(urls: readonly string[]): void;
}

/** Serves until SIGTERM or SIGINT. Returns the exit code. */
export async function serve(options: ServeOptions, early?: EarlyBoot): Promise<number> {
  const { sources, access, cynagora, origins, hosts, base, pages, concurrency, proxies } = options;
  const { history } = options;
  const places: Pick<
    ServeOptions,
    "endpoints" | "otherwise" | "exports" | "imports" | "mode" | "insecure"
  > = options;
  // One that comes before there is anything to read anew is no reason to end: it is read once it serves.
  let hungUp = false;
  let hangUp = (): void => {
    hungUp = true;
  };
  process.on("SIGHUP", () => hangUp());
  const encryption = new Encryption();
  const auditing = new Auditing();
  const metering = new Metering();
  const fleeting = new Fleeting();
  let fleet: Awaited<ReturnType<Fleeting["read"]>>;
  let { metricsPrivilege } = options;
  let unready: string | undefined = "the server is starting";
  // Where this machine does not let it be, that is told at the top.
  const launching = new Launching();
  /** Makes what launches of the plans need. */
  const prepare = async (loaded: Loaded, trial = true) => {
    const launches = await launching.prepare(loaded.apis, { trial });
    const unheard = auditing.audit ? [] : unaudited(launches.apis);
    const found = [...loaded.notices, ...launches.notices, ...unheard];
    const apis = withNotices(launches.apis, found);
    // Of all that was left out there is a notice.
    const isOther = found.length > 0;
    return { ...loaded, apis, isOther, launches, loaded };
  };
  const dialling = new Dialling();
  /** Where other binders are. The hand-over of early boot adds some. */
  let reached: Pick<ServeOptions, "imports" | "exports"> = places;
  let current: Loaded & { readonly loaded: Loaded };
  try {
    await auditing.use(options.audit);
  } catch (error) {
    console.error(`spawnbox serve: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
  const more = () => (metricsPrivilege ? [metricsPrivilege] : []);
  try {
    await encryption.show(options.tls);
    const untried = load(
      ...([sources, access, undefined, cynagora !== undefined] as const),
      ...([more(), encryption.load] as const),
    );
    current = { ...untried, loaded: untried };
    // Before the service there is no network to it.
    if (!early) fleet = await fleeting.read(options.fleet);
    await fleeting.offer(fleet);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return refuse(error);
  }
  let reload = (): Promise<ReloadResult<Reloaded>> =>
    Promise.reject(new AfbError("not-available", "the server is still starting"));
  const accounts = new Accounts();
  const granted: Granted = (caller) => current.access.of(caller);
  let registry: RunningRegistry | undefined;
  const permissions = new Permissions(() => registry?.recheck());
  permissions.use(cynagora);
  // A socket that is not there is known at once; what takes longer is told when it is known.
  let unreachable: string | undefined;
  let started = false;
  void permissions.notice().then((notice) => {
    unreachable = notice;
    if (started && notice !== undefined) console.error(notice);
  });
  const keeping = new Keeping();
  let server: RunningServer | undefined;
  let room: Room;
  let mesh: Mesh;
  let others: Awaited<ReturnType<Dialling["prepare"]>> | undefined;
  const trial = Promise.withResolvers<void>();
  let failed: { readonly error: unknown } | undefined;
  // Looked at below, also where something else fails first.
  trial.promise.catch(() => {});
  const tryAll = async (): Promise<void> => {
    try {
      // So early much is still to come; what serves then is tried when the service takes over.
      const prepared = await prepare(current.loaded, early === undefined);
      prepared.launches.use();
      current = prepared;
      // Most often all is as it was loaded.
      if (prepared.isOther) registry?.replace(prepared.apis);
      trial.resolve();
    } catch (error) {
      failed = { error };
      trial.reject(error);
    }
    await trial.promise;
  };
  try {
    const begun = beginsByItself(current.apis);
    others = await dialling.prepare(current.apis, reached);
    // Of a config that is refused nothing is to have run.
    if (begun) await tryAll();
    const { endpoints, named } = endpointsOf(places);
    room = roomFor(concurrency, endpoints.length + places.exports.length);
    registry = createRegistry({
      apis: current.apis,
      launch: launching.launch,
      ...(!begun && { tried: trial.promise }),
      admission: room.admission,
      explain,
      granted,
      archive: keeping,
      named: (caller) => current.access.nameOf(caller),
      permissions: permissions.service,
      foreign: others.foreign,
      changed: async (api) => {
        await accounts.look();
        return accounts.notices(api);
      },
      witnesses: [auditing, metering.counts],
      verbs: monitorVerbs(
        () => fleeting.verbs,
        [
          reloadVerb(() => reload()),
          doctorVerb(),
          metricsVerb(() => metricsPrivileges(metricsPrivilege, current.guarded), {
            ...{ version, counts: metering.counts },
            load: () => ({ ...room.admission.load, most: room.admission.tasks }),
            ready: () => launching.ready,
            clients: () => server?.clients ?? { open: 0, webSockets: 0, paused: 0 },
            reloads: () => metering.reloads,
            audit: () => auditing.audit?.counts,
            history: () => keeping.lost,
          }),
        ],
      ),
    });
    metering.counts.serve(current.apis);
    const { connections } = room;
    await dialling.serve({ registry, granted }, reached);
    others.use();
    await others.reach();
    if (begun) await registry.start();
    const protection = { secure: encryption.use(current.tls), insecure: options.insecure };
    server = await startServer({
      ...{ endpoints, origins, hosts, base, pages, registry, version, connections, binders },
      ...{ protection, proxies, console: options.console },
      mcp: options.mcp ? { doctor } : undefined,
      unready: () => unready,
    });
    // Who asks for nothing of a sandbox has an answer before.
    if (!begun) await tryAll();
    const slotOf = dialling.slotOf.bind(dialling);
    mesh = new Mesh({ registry, granted, permissions: permissions.service, connections, slotOf });
    await mesh.open(places, named);
  } catch (error) {
    trial.reject(error);
    // With what onload actions have started.
    await Promise.all([server?.close(), registry?.close()]);
    others?.drop();
    dialling.close();
    permissions.close();
    await launching.close();
    await auditing.close();
    if (error instanceof ConfigError) return refuse(error);
    if (failed?.error === error) throw error;
    console.error(
      `spawnbox serve: ${indented(error instanceof Error ? error.message : String(error))}`,
    );
    return 1;
  }
  const fleetDeps: FleetDeps = {
    registry,
    access: () => current.access,
    refused: (refusal) => {
      auditing.refused(refusal);
      metering.counts.refused(refusal);
    },
    relayed: (relayed) => auditing.relayed(relayed),
  };
  const serving: Serving = {
    ...{ registry, server, mesh, permissions, encryption, keeping, sources, access },
    ...{ auditing, metering, fleeting, fleetDeps },
    get metricsPrivilege() {
      return metricsPrivilege;
    },
    set metricsPrivilege(now) {
      metricsPrivilege = now;
    },
    get reached() {
      return reached;
    },
    set reached(now) {
      reached = now;
    },
    manager: serviceManager(),
    get loaded() {
      return current.loaded;
    },
    reloads: createReloads(
      async (known?: Loaded) => {
        const loaded =
          known ??
          load(
            ...([serving.sources, serving.access, undefined, permissions.asks] as const),
            ...([more(), encryption.load] as const),
          );
        const joining = await fleeting.reread();
        const others = await dialling.prepare(loaded.apis, reached);
        const takeBack = await fleeting.offer(joining);
        try {
          // What is to be had of others first: of a config that is refused nothing is to have run.
          await others.reach();
          return { ...(await prepare(loaded)), others, joining };
        } catch (error) {
          takeBack();
          others.drop();
          throw error;
        }
      },
      (next) => {
        const before = current;
        const changes = changesOf(before.apis, next.apis);
        try {
          // First, so that the registry sees who has lost what.
          current = next;
          registry.replace(next.apis, next.others.foreign);
        } catch (error) {
          current = before;
          next.launches.drop();
          next.others.drop();
          throw error;
        }
        next.launches.use();
        next.others.use();
        encryption.use(next.tls);
        launching.keepReady(next.apis);
        metering.counts.serve(next.apis);
        fleeting.change(next.joining, fleetDeps);
        return { changes, now: next };
      },
    ),
    status: () => `serving ${server.urls.join(", ")}`,
  };
  reload = () => reloadAndTell(serving);
  hangUp = () => {
    // What rotates logs says so by it.
    auditing.reopen();
    void reload();
  };
  if (hungUp) hangUp();
  started = true;
  unready = undefined;
  // From the moment that it is told to be ready, it ends as it should.
  const stopped = untilStopped();
  if (unreachable !== undefined) console.log(unreachable);
  const audited = auditing.audit?.sink.name;
  const { mcp } = options;
  const announced = { ...server, mesh: mesh.places, base, audited, mcp };
  console.log(banner(announced, current, registry, room));
  serving.manager.ready(serving.status());
  // Not behind the history or a broker: calls come from now on.
  compileReadily();
  early?.handover.answer((joining, joiner) => become(joining, joiner, serving));
  early?.onReady(server.urls);
  await keeping.use(history, registry);
  await fleeting.join(fleet, fleetDeps);
  for (const place of fleeting.places) console.log(visible(place));
  launching.keepReady(current.apis);
  const stopKeeping = keepSmall();
  forgetStart();
  printWithoutWaiting(toTerminal);
  const watch = watchAccounts(
    accounts,
    () => current.apis,
    (file, notice) => console.error(`notice: ${problemLine({ file, ...notice })}`),
  );
  await stopped;
  unready = "the server is ending";
  watch.close();
  stopKeeping();
  const { grace } = registry;
  serving.manager.stopping(grace);
  early?.handover.close();
  if (grace > 0) await drained(registry, grace);
  endPatience();
  // Who follows what is killed now hears its end.
  const over = registry.close();
  await Promise.all([server.close(over), over.finally(() => mesh.close())]);
  await fleeting.close();
  keeping.close();
  dialling.close();
  permissions.close();
  await launching.close();
  await auditing.close();
  serving.manager.close();
  return 0;
}

/** @param more those that there are by now: asked at each change of what is served */
const monitorVerbs = (more: () => readonly Verb[], own: readonly Verb[]) => ({
  get monitor() {
    return [...own, ...more()];
  },
});

/** Whether something of these configs runs before anybody calls: actions at the start, and modules of plugins. */
const beginsByItself = (apis: readonly ApiPlan[]): boolean =>
  apis.some(
    ({ actions, plugins = [] }) =>
      plugins.length + (actions?.onload.length ?? 0) + (actions?.onstart.length ?? 0) > 0,
  );

function refuse({ message, problems }: ConfigError): number {
  console.error(`${message}\nspawnbox serve: not started: ${problems.length} problem(s) above`);
  return 1;
}

/** Throws an Error that says what is wrong with what the service manager handed over. */
function endpointsOf({
  endpoints,
  otherwise,
  exports,
}: Pick<ServeOptions, "endpoints" | "otherwise" | "exports">) {
  const { http, named } = sorted(inheritedSockets(), exports);
  const all = [...endpoints, ...http.map((fd): Endpoint => ({ kind: "fd", fd }))];
  return { endpoints: all.length > 0 ? all : [otherwise], named };
}

async function reloadAndTell(serving: Serving): Promise<ReloadResult<Reloaded>> {
  // The hand-over of early boot changes the manager.
  serving.manager.reloading();
  const result = await serving.reloads.reload();
  const { loaded, problems } = result;
  serving.metering.reloaded(loaded !== undefined);
  if (loaded) {
    console.log([...notices(loaded.now), "reloaded", ...verbLines(serving.registry)].join("\n"));
    serving.manager.ready(serving.status());
    return result;
  }
  for (const problem of problems) console.error(problemLine(problem));
  const [first] = problems;
  const what = `reload failed, nothing changed: ${problems.length} problem(s)`;
  console.error(`spawnbox serve: ${what} above`);
  serving.manager.ready(
    `${serving.status()}; ${what}, the first: ${first?.file}: ${first?.message}`,
  );
  return result;
}

interface Announced {
  readonly urls: readonly string[];
  readonly mesh: readonly string[];
  readonly base: Base;
  /** Where calls are told. */
  readonly audited: string | undefined;
  /** Verbs are tools. */
  readonly mcp: boolean;
}

function banner(
  { urls, mesh, base, audited, mcp }: Announced,
  loaded: Loaded,
  registry: Registry,
  room: Room,
): string {
  const [url = "", ...others] = urls;
  const [first] = loaded.apis;
  return [
    ...notices(loaded),
    `spawnbox ${version} serves on ${url}`,
    ...others.map((other) => `and on ${other}`),
    ...mesh.map((place) => visible(`to other binders on ${place}`)),
    ...verbLines(registry),
    room.words,
    ...(mcp ? ["verbs are tools at /mcp"] : []),
    ...(audited === undefined ? [] : [visible(`audited to ${audited}`)]),
    ...(first ? [`try: ${curl(url, base, `/api/${inPath(first.api)}/${tryVerb(first)}`)}`] : []),
  ].join("\n");
}

function curl(url: string, base: Base, path: string): string {
  if (url.startsWith("http")) return `curl ${quoted(url + path)}`;
  return `curl --unix-socket ${quoted(url.slice("unix:".length))} ${quoted(`http://localhost${base}${path}`)}`;
}

/** In zsh a `?` is a name of files, and within brackets curl counts. */
const quoted = (text: string): string =>
  /^[\w/:.+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** Those of the configs, and those about the access. */
const notices = ({ apis, notices: found }: Loaded): string[] => {
  const files = new Set(apis.map(({ file }) => file));
  const own = apis.flatMap(({ file, notices: all }) => all.map((one) => ({ file, ...one })));
  const others = found.filter(({ file }) => !files.has(file));
  return [...own, ...others].map((one) => `notice: ${problemLine(one)}`);
};

/** Of an API. */
const MOST_VERBS = 40;

const verbLines = (registry: Registry): string[] =>
  registry.list().map(({ api, verbs }) => {
    const more = verbs.length - MOST_VERBS;
    const shown = verbs.slice(0, MOST_VERBS).join(", ");
    const rest = more > 0 ? ` and ${more} more` : "";
    return visible(`  ${api}: ${shown || "of another binder"}${rest}`);
  });

/** In a URL, within quotes too. */
const inPath = (name: string): string =>
  name.split("/").map(encodeURIComponent).join("/").replaceAll("'", "%27");

/** A verb that runs something without arguments and answers with its output; else ping. */
function tryVerb(api: ApiPlan): string {
  const plans = api.sandboxes
    .flatMap((sandbox) => sandbox.plans)
    .filter(({ argv, privileges }) => argv.names.size + privileges.length === 0);
  const plan = plans.find(({ encoder }) => encoder.name === "sync") ?? plans[0];
  if (!plan) return "ping";
  return inPath(plan.verb) + (plan.encoder.name === "sync" ? "" : "?wait=true");
}
