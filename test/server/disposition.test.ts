import { expect, test } from "bun:test";
import { disposition } from "../../src/server/disposition.ts";

test.each([
  ["image/png", "inline"],
  ["IMAGE/JPEG; q=1", "inline"],
  ["text/plain", "inline"],
  ["text/plain; charset=utf-8", "inline"],
  ["text/plainer", "attachment"],
  ["text/html", "attachment"],
  ["text/html; x=image/png", "attachment"],
  ["image/svg+xml", "attachment"],
  ["image/SVG", "attachment"],
  ["image/x+xml; a=b", "attachment"],
  ["application/pdf", "attachment"],
  ["multipart/x-mixed-replace", "attachment"],
])("%s: %s", (type, how) => expect(disposition(type)).toBe(how));

test.each([
  ["snapshot-1 (2).jpg", 'filename="snapshot-1 (2).jpg"'],
  ['a"; x="y', `filename="a__ x=_y"; filename*=UTF-8''a%22%3B%20x%3D%22y`],
  ["a\r\nSet-Cookie: b", `filename="a__Set-Cookie_ b"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b`],
  ["é'(*)", `filename="_'(_)"; filename*=UTF-8''%C3%A9%27%28%2A%29`],
  ["%41", `filename="_41"; filename*=UTF-8''%2541`],
  ["a\\", `filename="a_"; filename*=UTF-8''a%5C`],
  ["\ud800", `filename="_"; filename*=UTF-8''%EF%BF%BD`],
])("the name %j", (name, encoded) =>
  expect(disposition("image/png", name)).toBe(`inline; ${encoded}`),
);
