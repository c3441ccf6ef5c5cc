/** Readings of plates, as the server has them. */

import { call } from "../api/client";

export interface Position {
  x_min: number;
  y_min: number;
  x_max: number;
  y_max: number;
}

export interface Plate {
  id: number;
  /** Empty if it cannot be read. */
  plate_number: string;
  confidence: number;
  /** ISO 8601, UTC. */
  timestamp: string;
  position: Position;
  processed_by: string;
  /** Separated by slashes. */
  alternative_readings: string | null;
  is_verified: boolean;
  /** The session: a photo, or a vehicle that passed. */
  detection_id: number | null;
}

export interface PlateDetails extends Plate {
  country: string | null;
  votes: Record<string, number> | null;
  /** `upload`, or the id of a stream. */
  source: string;
  first_reading: string | null;
}

export interface Uploaded {
  session_id: number;
  filename: string;
  processing_time_ms: number;
  plates: Plate[];
}

export interface WatchEntry {
  id: number;
  number: string;
  note: string;
  action: "allow" | "alert";
}

export interface Statistics {
  total_plates: number;
  verified_plates: number;
  unrecognized_plates: number;
  recognition_rate: number;
  total_sessions: number;
  avg_confidence: number;
}

export interface Activity {
  per_hour: Record<string, number>;
  per_day: Record<string, number>;
  by_source: Record<string, number>;
  by_reader: Record<string, number>;
  corrected: number;
  confirmed: number;
  correction_rate: number | null;
}

export const PLATES = "api/plates";
export const WATCHLIST = "api/watchlist";
export const SEARCH = "api/search";

export const cropPath = (id: number) => `${PLATES}/${id}/image`;
export const photoPath = (session: number) => `api/sessions/${session}/image`;
export const secondsOf = (plate: Plate) => Date.parse(plate.timestamp) / 1000;

export function changePlate(id: number, changes: { plate_number?: string; is_verified?: boolean }): Promise<Plate> {
  return call<Plate>(`${PLATES}/${id}`, { method: "PUT", body: changes });
}

/** The other readings of a plate, without the one that it has. */
export function alternativesOf(plate: Plate): string[] {
  const readings = (plate.alternative_readings ?? "").split("/").map((one) => one.trim());
  return [...new Set(readings)].filter((one) => one && one !== plate.plate_number);
}
