/** A client of WSAPI. */
import { encodeMessage, type Message, parseMessage } from "../../src/rpc/wsapi.ts";
import { frame, RawClient } from "../server/harness.ts";

export class Importer {
  private constructor(readonly raw: RawClient) {}

  static async dial(path: string): Promise<Importer> {
    const importer = new Importer(await RawClient.open(path));
    importer.send({ type: "offer", versions: [1] });
    const set = await importer.next();
    if (set?.type !== "set" || set.version !== 1) throw new Error("it does not speak version 1");
    return importer;
  }

  send(message: Message, mask = false): void {
    this.raw.write(frame(encodeMessage(message), { opcode: 2, mask }));
  }

  async next(): Promise<Message | undefined> {
    const bytes = await this.raw.payload();
    return bytes && parseMessage(bytes);
  }

  async call(verb: string, json: string | null, creds: string | null = null, token = 0) {
    this.send({ type: "call", callid: 1, verb, session: 0, token, json, creds }, token > 0);
    return this.next();
  }

  close(): void {
    this.raw.socket.destroy();
  }

  /** What it is answered in the end: events may come before. */
  async answer(verb: string, creds: string | null): Promise<string> {
    let message = await this.call(verb, null, creds);
    while (message && message.type !== "reply") message = await this.next();
    return message ? (message.error ?? "success") : "gone";
  }
}
