/** Places made with namespaces, mounts, limits and filters: in each, a profile's command runs, or check, start and launch say the same. */
import { madePlaces } from "./made.ts";
import { testPlaces } from "./rows-test.ts";

testPlaces(madePlaces);
