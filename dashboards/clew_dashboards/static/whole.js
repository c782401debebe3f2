// Values that the page holds only the beginning of: the JSON twin has them whole.

let twin = null;

/** The whole text of a value: `find` picks it from the record that `detail` is about. */
export async function wholeValue(detail, find) {
  twin ??= fetchTwin();
  try {
    return asText(find(recordOf(await twin, detail)));
  } catch (error) {
    twin = null;
    throw error;
  }
}

async function fetchTwin() {
  const answer = await fetch(`${location.pathname}?format=json`, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return answer.json();
}

// Records that came in since the page was made may have moved the others.
function recordOf(request, { at: [signal, index, event], check: [field, expected] }) {
  const isIt = (candidate) => candidate?.[field] === expected;
  const record = isIt(request[signal][index]) ? request[signal][index] : request[signal].find(isIt);
  if (!record) throw new Error("the request has changed");
  return event === undefined ? record : record.events[event];
}

function asText(value) {
  if (typeof value === "string") return value;
  if (value && Object.keys(value).length === 1 && typeof value.base64 === "string") return value.base64;
  return JSON.stringify(value);
}
