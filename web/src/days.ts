/** Days of this browser's time zone, written as `2026-02-03`. */

/** The IANA name of the time zone. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** The day of a date. */
export function isoDay(date: Date): string {
  const two = (part: number) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The day of a time in seconds since 1970. */
export function dayOf(seconds: number): string {
  return isoDay(new Date(seconds * 1000));
}

/** The first moment of a day, or of one so many days later, in seconds since 1970. */
export function dayBegin(day: string, later = 0): number {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year!, month! - 1, date! + later).getTime() / 1000;
}
