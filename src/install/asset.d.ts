declare module "*.service" {
  const text: string;
  export default text;
}

declare module "*/initramfs-tools" {
  const text: string;
  export default text;
}
