/**
 * The server's messages as types: version 1 of the WebSocket /ws/stream/{stream_id}, and the replies
 * of the HTTP calls that this page makes. /docs has the full description.
 *
 * @typedef {"starting" | "running" | "reconnecting" | "stopped" | "failed"} StreamState
 *
 * @typedef {object} Detection
 * @property {number | null} track_id
 * @property {string} label
 * @property {number} confidence  0 to 1
 * @property {[number, number, number, number]} box  left, top, right, bottom in pixels
 *
 * @typedef {object} Hello
 * @property {"hello"} type
 * @property {string} stream_id
 * @property {string} name
 * @property {StreamState} state
 * @property {string} blur
 * @property {string[]} analytics
 * @property {Zone[]} [zones]  if there are any
 * @property {Line[]} [lines]
 *
 * @typedef {object} Zone  points are shares of the frame's width and height
 * @property {"watch" | "ignore" | "count"} kind
 * @property {string} name
 * @property {[number, number][]} points
 * @property {string} [color]
 *
 * @typedef {object} Line
 * @property {string} name
 * @property {[[number, number], [number, number]]} points
 * @property {[string, string]} sides  A is on the left hand from the first point to the second
 * @property {string} [color]
 *
 * @typedef {object} Result
 * @property {"result"} type
 * @property {string} stream_id
 * @property {number} frame
 * @property {number} ts  when the frame was captured, Unix seconds
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {number} latency_ms
 * @property {Detection[]} detections
 *
 * @typedef {object} StreamEvent
 * @property {"event"} type
 * @property {number} id
 * @property {string} event
 * @property {number} ts
 * @property {number | null} track_id
 * @property {number | null} confidence
 * @property {number | null} duration_s
 * @property {string | null} snapshot  path of the snapshot on this server
 * @property {string | null} clip  path of the video around it on this server
 * @property {Record<string, unknown>} details
 *
 * @typedef {object} Missed
 * @property {"missed"} type
 * @property {number} events
 *
 * @typedef {object} StateChange
 * @property {"state"} type
 * @property {StreamState} state
 * @property {string | null} reason
 *
 * @typedef {object} Ack
 * @property {"ack"} type
 * @property {number} frame  number of the message on this socket, from 1
 * @property {number} dropped
 * @property {{waited_ms: number, processed_ms: number, total_ms: number}} timing
 * @property {Detection[]} detections
 *
 * @typedef {object} Dropped  a newer frame replaced this one, and no ack reports that
 * @property {"dropped"} type
 * @property {number} frame
 *
 * @typedef {object} Failure
 * @property {"error"} type
 * @property {string} code
 * @property {string} message
 * @property {number | null} frame
 *
 * @typedef {object} End
 * @property {"end"} type
 * @property {string | null} reason
 *
 * @typedef {Hello | Result | StreamEvent | Missed | StateChange | Ack | Dropped | Failure | End} Message
 *
 * @typedef {object} Camera  a row of GET /cameras
 * @property {string} camera_id
 * @property {string} name
 * @property {string} kind
 * @property {StreamState} state
 * @property {number | null} fps
 * @property {number | null} width
 * @property {number | null} height
 * @property {{message: string} | null} [reduced]  what it goes without on a busy machine
 */

export const STREAM_NOT_FOUND = "STREAM_NOT_FOUND";
export const CLOSED_NORMALLY = 1000;
export const CLOSED_NOT_FOUND = 4404;
export const CLOSED_BY_POLICY = 1008;
/** Close codes of a server that shuts down or restarts; its streams may come back. */
export const SERVER_GOES = [1001, 1012];

/**
 * The message of a text frame, or null for one that this page does not know.
 *
 * @param {string} text
 * @returns {Message | null}
 */
export function parse(text) {
  try {
    const message = JSON.parse(text);
    return message && typeof message.type === "string" ? message : null;
  } catch {
    return null;
  }
}
