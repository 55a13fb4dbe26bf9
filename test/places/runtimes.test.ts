/** Containers of real runtimes, where this machine has them: a dockerd of the test's own, and podman. */
import { testPlaces } from "./rows-test.ts";
import { type Daemon, dockerPlaces, leavePodman, podmanPlaces, startDocker } from "./runtimes.ts";

let docker: Daemon | undefined;

testPlaces((room) => [...dockerPlaces(room), ...podmanPlaces(room)], {
  async begin(room, places) {
    if (places.some(({ name }) => name.includes("docker"))) docker = await startDocker(room);
  },
  async end(room) {
    await docker?.[Symbol.asyncDispose]();
    leavePodman(room);
  },
});
