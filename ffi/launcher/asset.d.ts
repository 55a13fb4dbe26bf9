declare module "*/bin/launcher" {
  const path: string;
  export default path;
}
