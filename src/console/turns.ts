/** Long work in turns of some milliseconds: between two of them the browser draws, and hears its user. */

/** ms: with what a frame writes and draws, less than anybody sees. Nobody sees a page that is hidden. */
const TURN = 20;
const HIDDEN_TURN = 200;

let end = 0;
const waiting: (() => void)[] = [];
/** Not a timer: those of a hidden page come once a second, or once a minute. */
const { port1, port2 } = new MessageChannel();
port1.onmessage = () => {
  end = performance.now() + (document.hidden ? HIDDEN_TURN : TURN);
  waiting.shift()?.();
};

/** Whether whoever works now has worked long enough, and awaits {@link nextTurn}. */
export const isTurnOver = (): boolean => performance.now() > end;

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    port2.postMessage(0);
  });
}
