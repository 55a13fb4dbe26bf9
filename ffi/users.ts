/** Users and groups through the C library, and so through whatever NSS of the target says: getpwnam(3), getgrnam(3). */
import { CString, dlopen, type Pointer, read } from "bun:ffi";
import { uint32 } from "./integer.ts";
import { pointer } from "./pointer.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  getpwnam: { args: ["cstring"], returns: "ptr" },
  getpwuid: { args: ["u32"], returns: "ptr" },
  getgrgid: { args: ["u32"], returns: "ptr" },
  getgrnam: { args: ["cstring"], returns: "ptr" },
});

export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
  shell: string;
}

/**
 * struct passwd { char *name, *passwd; uid_t uid; gid_t gid; char *gecos, *dir, *shell } on 64-bit Linux: the result lies in
 * static memory of the C library, so it is copied at once.
 */
function userAt(place: Pointer | null): User | undefined {
  if (place === null) return undefined;
  const string = (offset: number) => String(new CString(read.ptr(place, offset) as Pointer));
  return {
    name: string(0),
    uid: read.u32(place, 16),
    gid: read.u32(place, 20),
    home: string(32),
    shell: string(40),
  };
}

export const userByName = (name: string): User | undefined => userAt(pointer(libc.getpwnam(name)));
export const userById = (uid: number): User | undefined =>
  userAt(pointer(libc.getpwuid(uint32(uid, "uid"))));

/** struct group { char *name, *passwd; gid_t gid; … } */
export function groupByName(name: string): number | undefined {
  const place = pointer(libc.getgrnam(name));
  return place === null ? undefined : read.u32(place, 16);
}

export function groupById(gid: number): string | undefined {
  const place = pointer(libc.getgrgid(uint32(gid, "gid")));
  return place === null ? undefined : String(new CString(read.ptr(place, 0) as Pointer));
}
