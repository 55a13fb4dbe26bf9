/** Capability names through libcap (cap_from_name(3)): the library of the target knows the names of its kernel. */
import { dlopen } from "bun:ffi";

const open = () =>
  dlopen("libcap.so.2", {
    cap_from_name: { args: ["cstring", "ptr"], returns: "i32" },
  });
let library: ReturnType<typeof open> | undefined;

function libcap() {
  try {
    library ??= open();
  } catch (error) {
    throw new Error(
      `capabilities are configured, but libcap.so.2 cannot be loaded: install libcap2 (Debian) or libcap (Yocto)`,
      { cause: error },
    );
  }
  return library.symbols;
}

/** The number of a capability, with or without `CAP_`, in any case; undefined when libcap does not know the name. */
export function capFromName(name: string): number | undefined {
  const full = name.toLowerCase().startsWith("cap_") ? name : `CAP_${name}`;
  const value = new Int32Array(1);
  return libcap().cap_from_name(full.toLowerCase(), value) === 0 ? value[0] : undefined;
}
