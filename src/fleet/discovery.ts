/** What Home Assistant is told of a board: a device with a button for each verb that needs no arguments. */
import type { ApiDescription } from "../api/verb.ts";
import { named, nameOf } from "../mcp/names.ts";
import { version } from "../version.ts";
import { buttons } from "./describe.ts";
import type { Topics } from "./topics.ts";

type Home = { readonly operator: string; readonly prefix: string };

export const discoveryTopic = (board: string, { prefix }: Pick<Home, "prefix">): string =>
  `${prefix}/device/${nameOf(board)}/config`;

/** To be retained; see "MQTT device discovery" in its documentation. */
export function discovery(
  board: string,
  home: Home,
  topics: Topics,
  apis: readonly ApiDescription[],
) {
  const all = named(buttons(apis), ({ api, verb }) => `${api}/${verb.name}`);
  const components = [...all].map(([name, { api, verb }]) => [
    name,
    {
      platform: "button",
      name: verb.info ?? `${api} ${verb.name}`,
      unique_id: `spawnbox_${nameOf(board)}_${name}`,
      command_topic: topics.call(board, home.operator, `${api}/${verb.name}`),
      payload_press: "{}",
      // A broker keeps nothing of this for a board that is away.
      qos: 0,
      retain: false,
    },
  ]);
  return {
    device: { identifiers: [`spawnbox_${nameOf(board)}`], name: board, sw_version: version },
    origin: { name: "spawnbox", sw_version: version },
    availability_topic: topics.status(board),
    components: Object.fromEntries(components) as Readonly<Record<string, object>>,
  };
}
