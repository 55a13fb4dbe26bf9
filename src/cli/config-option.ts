/** Where the configs are: --config, else AFB_SPAWN_CONFIG. */
export function configSpec(option: string | undefined): string | undefined {
  return option || process.env["AFB_SPAWN_CONFIG"] || undefined;
}
