/** The schema of an access file: who may call what needs a privilege. */
import { type Static, Type } from "@sinclair/typebox";
import { Id } from "../config/ranges.ts";
import { flag, list, object, optional, words } from "../config/shapes.ts";

export const Grant = object(
  {
    info: optional(Type.String({ description: "who or what this is, for readers" })),
    token: optional(
      Type.String({
        pattern: "^sha256:[0-9a-fA-F]{64}$",
        description: "whoever presents the token with this hash; spawnbox token makes one",
      }),
    ),
    user: optional(Id("user name or uid, over a unix socket")),
    group: optional(Id("group name or gid, primary or supplementary, over a unix socket")),
    certificate: optional(
      Type.String({
        minLength: 1,
        description:
          "whoever shows a certificate of this name, of an authority of serve --tls-client-ca: CN:NAME, DNS:NAME, URI:URI or email:ADDRESS, each as it is written there; alone it is a URI, an address of mail, or its CN or a DNS name, as it looks",
      }),
    ),
    mqtt: optional(
      Type.String({
        pattern: "^(?:\\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63})$",
        description:
          "the operator of this name, over MQTT (serve --fleet), as the rights of the broker have it; *: any",
      }),
    ),
    anyone: optional(
      flag({ description: "true: whoever can connect; not by way of an MQTT broker" }),
    ),
    privileges: list(Type.String({ minLength: 1, description: "a privilege, or * for all" }), {
      description: "what they may use",
    }),
  },
  { description: "one of token, user, group, certificate, mqtt, anyone, and privileges" },
);

export const AccessFile = object(
  {
    $schema: optional(Type.String({ description: "for editors" })),
    access: optional(
      words(["cynagora-only"], {
        description:
          "cynagora-only: only the permission service (serve --cynagora) gives privileges, to root and the server's user too, and grants do nothing",
      }),
    ),
    grants: optional(list(Grant, { description: "a caller has the privileges of all that fit" })),
  },
  { description: "a spawnbox access file" },
);

export type Grant = Static<typeof Grant>;
export type AccessFile = Static<typeof AccessFile>;
