export function startExports() {}
