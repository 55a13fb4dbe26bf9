/**
 * The client of the `mqtt` package alone: its main module brings WebSockets, proxies and a command line with it. It is CommonJS,
 * whose default the runtime and the bundler see differently.
 */
import client from "mqtt/lib/client";
import { isObject } from "../object.ts";

const found: unknown = client;

export const MqttClient = (
  isObject(found) && "default" in found ? found["default"] : found
) as typeof client;
export type MqttClient = InstanceType<typeof client>;
export type { IPublishPacket } from "mqtt/lib/client";
