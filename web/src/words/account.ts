/** Signing in, and a person's own account: the words of the viewer page. */

import { ACCOUNT } from "../../../static/viewer/account_words.js";
import { words } from ".";

export const t = words(ACCOUNT);
