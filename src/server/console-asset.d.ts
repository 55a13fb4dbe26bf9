declare module "*/dist/console/page.html.gz" {
  const path: string;
  export default path;
}

declare module "*/dist/console/more.js.gz" {
  const path: string;
  export default path;
}

declare module "*/dist/console/words.json.gz" {
  const path: string;
  export default path;
}
