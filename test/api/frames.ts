/** Frames of a WebSocket as they are written, see `settled`. */

export const replied = (id: string, response: string) =>
  `[3,"${id}",{"jtype":"afb-reply","request":{"status":"success","code":0},"response":${response}}]`;
export const refused = (id: string, status: string, info: string, code: number) =>
  `[4,"${id}",{"jtype":"afb-reply","request":{"status":"${status}","info":${JSON.stringify(info)},"code":${code}}}]`;
export const event = (verb: string, data: string) =>
  `[5,"p/${verb}",{"jtype":"afb-event","event":"p/${verb}","data":${data}}]`;
export const started = (id: string, verb: string) =>
  replied(id, `{"api":"p","sandbox":"sb","command":"${verb}","pid":PID}`);
export const final = (verb: string, status: string) =>
  event(verb, `{"type":"final-event","pid":PID,"status":${status}}`);
