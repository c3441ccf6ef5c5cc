/** Labels of detections, types of events and kinds of blur, as the server names them. */

import { NAMES } from "../../../static/viewer/names.js";
import { words } from ".";

export const t = words({
  en: {
    ...NAMES.en,
    "blur.gaussian": "blurred",
    "blur.pixelate": "pixelated",
    "blur.solid": "covered",
    "blur.off": "not blurred",
  },
  ru: {
    ...NAMES.ru,
    "blur.gaussian": "размыты",
    "blur.pixelate": "в пикселях",
    "blur.solid": "закрыты",
    "blur.off": "не скрыты",
  },
  ko: {
    ...NAMES.ko,
    "blur.gaussian": "흐림 처리",
    "blur.pixelate": "픽셀 처리",
    "blur.solid": "가림 처리",
    "blur.off": "처리 안 함",
  },
});
