/** A lock, of no font. */
export const Lock = () => (
  <svg viewBox="0 0 24 24" width="12" height="12" aria-hidden="true">
    <path
      d="M5 11h14v10H5zM8 11V7a4 4 0 0 1 8 0v4"
      fill="none"
      stroke="currentColor"
      stroke-width="2.5"
    />
  </svg>
);
