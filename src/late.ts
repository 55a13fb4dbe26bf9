/**
 * Modules of the runtime that bring much with them (streams of sockets, ciphers, threads), of which most servers need nothing at
 * the start: each is loaded by the first who uses it. Importing them took 1.6 ms of every start.
 */

export const net = () => process.getBuiltinModule("node:net");
export const threads = () => process.getBuiltinModule("node:worker_threads");
export const ciphers = () => process.getBuiltinModule("node:crypto");
