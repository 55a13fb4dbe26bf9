/** The box, as a path of 24 by 24: in the header, and in what stands there before any script has run. */
export const MARK = "M12 2 21 7v10l-9 5-9-5V7z M3 7l9 5 9-5 M12 12v10";
