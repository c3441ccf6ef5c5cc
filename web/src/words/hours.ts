/** Hours of a week. */

import { words } from ".";

export const t = words({
  en: {
    add: "Add hours",
    days: "Days on which they begin",
    from: "From",
    hours: "Hours",
    to: "To",
  },
  ru: {
    add: "Добавить часы",
    days: "Дни, когда они начинаются",
    from: "С",
    hours: "Часы",
    to: "До",
  },
  ko: {
    add: "시간 추가",
    days: "시작하는 요일",
    from: "시작",
    hours: "시간",
    to: "끝",
  },
});
