/** Keys of the whole page: `/` goes to the search of the view, Esc out of a field, and from there to the view before. */
import { go, route } from "./route.ts";

export function followKeys(): () => void {
  const pressed = (event: KeyboardEvent): void => {
    const { target, key } = event;
    // A question has its own, and is closed already when its Esc comes here.
    if (document.querySelector("dialog")) return;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const isField =
      target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
    if (key === "/" && !isField) {
      const search = document.querySelector<HTMLElement>("[data-search]");
      if (!search) return;
      event.preventDefault();
      search.focus();
    }
    if (key !== "Escape") return;
    if (isField) target.blur();
    else if (route.value.view === "task") go("#/a");
    else if (route.value.view !== "verbs") go("#/");
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
