// Shows times in the viewer's zone, today's without the day. Without it they are shown in UTC, which stays in each one's
// title.
"use strict";
const today = new Date().toDateString();
const ofToday = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const ofOtherDays = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const element of document.querySelectorAll("time")) {
  const at = new Date(element.dateTime);
  if (!isNaN(at)) {
    element.textContent = (at.toDateString() === today ? ofToday : ofOtherDays).format(at);
  }
}
