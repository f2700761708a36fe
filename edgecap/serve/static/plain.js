var events = new EventSource("events");
events.addEventListener("caption", function (event) {
  var caption = JSON.parse(event.data);
  if (caption.event === "end") return;
  var line = document.createElement("li");
  line.textContent = caption.start.slice(11, 19) + " " + caption.room + ": " + caption.text;
  document.getElementById("log").appendChild(line);
});
