/** What packages say of the project. The layer's and the spec's files say the same. */
export const HOMEPAGE = "https://spawnbox.example";
export const MAINTAINER = "The spawnbox maintainers <maintainers@spawnbox.example>";
