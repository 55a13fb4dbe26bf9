/** The description of one API in the shape of OpenAPI, as the devtools page reads it from `monitor/get`. */
import type { ApiDescription, Parameter, VerbDescription } from "./verb.ts";

export function openapi({ api, info, version, verbs }: ApiDescription) {
  return {
    // Schemas of arguments are JSON Schema, which 3.0 does not have.
    openapi: "3.1.0",
    info: {
      title: api,
      version: version ?? "0",
      ...(info !== undefined && { description: info }),
    },
    paths: Object.fromEntries(verbs.map((verb) => [`/${verb.name}`, { get: operation(verb) }])),
  };
}

function operation({ info, parameters, privileges, confirm }: VerbDescription) {
  const permission = permissions(privileges);
  return {
    ...(info !== undefined && { description: info }),
    ...(permission && { "x-permissions": permission }),
    ...(confirm && { "x-confirm": confirm }),
    ...(parameters.length > 0 && { parameters: parameters.map(parameter) }),
    responses: { "200": { description: "afb-reply" } },
  };
}

function permissions(names: readonly string[]) {
  const all = names.map((permission) => ({ permission }));
  return all.length > 1 ? { allOf: all } : all[0];
}

function parameter({ name, required, schema = {} }: Parameter) {
  return { in: "query", name, required, schema };
}
