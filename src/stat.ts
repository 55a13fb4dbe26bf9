/**
 * stat(2) that nobody waits for meanwhile: the file system may be slow, or gone. That of `node:fs/promises` is the same, and brings
 * streams with it, which no start needs.
 */
import { type BigIntStats, stat } from "node:fs";

/** @throws what stat(2) says, with its `code` */
export const statSoon = (path: string): Promise<BigIntStats> =>
  new Promise((resolve, reject) => {
    stat(path, { bigint: true }, (error, found) => (error ? reject(error) : resolve(found)));
  });
