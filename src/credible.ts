/** Epoch ms before which no clock is right: this program is younger. A board without a clock of its own begins in 1970 or so, and files of images that are built alike have such a time. */
export const CREDIBLE = Date.UTC(2025, 0, 1);
