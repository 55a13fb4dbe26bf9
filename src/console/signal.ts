/** State of the whole page. It changes seldom: whoever shows something of it is drawn again with the page. */
type Heard = () => void;

export interface Signal<T> {
  value: T;
}

const all = new Set<Heard>();

export function signal<T>(first: T): Signal<T> {
  let value = first;
  return {
    get value() {
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const heard of all) heard();
    },
  };
}

/** Of each change of any. */
export const onChange = (heard: Heard): void => void all.add(heard);
