/** Its text, see src/make/console.ts. */
declare module "*.css" {
  const style: string;
  export default style;
}
