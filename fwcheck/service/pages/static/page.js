"use strict";
// Uploads with a progress bar, drops, and scans watched as they go on. Every page works without this.
const form = document.getElementById("upload");
if (form) {
  const drop = form.querySelector(".drop"), file = form.elements.image;
  const [status, problem] = form.querySelectorAll(".progress, .bad");
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) file.files = event.dataTransfer.files;
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData();
    for (const name of ["product", "version", "target"]) {
      const value = form.elements[name].value.trim();
      if (value) data.append(name, value);
    }
    for (const name of ["declaration", "vex", "update_key"]) {
      for (const each of form.elements[name].files) data.append(name, each);
    }
    data.append("image", file.files[0]);
    const request = new XMLHttpRequest();
    const fail = (text) => { status.hidden = true; problem.hidden = false; problem.textContent = text; };
    request.open("POST", "/api/v1/scans");
    request.setRequestHeader("X-Fwcheck-Mark", form.dataset.mark);
    request.upload.onprogress = (told) => {
      status.hidden = false; problem.hidden = true;
      status.querySelector("progress").value = told.loaded / told.total;
      status.querySelector("span").textContent = `${form.dataset.sending} ${Math.floor(100 * told.loaded / told.total)} %`;
    };
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* told below */ }
      if (request.status === 202) location.assign(`/scans/${answer.id}`);
      else fail([answer.title, answer.detail].filter(Boolean).join(": ") || `HTTP ${request.status}`);
    };
    request.onerror = () => fail("✗");
    request.send(data);
  });
}
const watch = document.getElementById("watch");
if (watch) {
  const source = new EventSource(`/api/v1/scans/${watch.dataset.scan}/events`);
  source.addEventListener("scan", (event) => {
    const scan = JSON.parse(event.data);
    if (scan.status === "done" || scan.status === "failed") { source.close(); location.reload(); return; }
    const bar = watch.querySelector("progress");
    if (scan.progress.total > 1) bar.value = scan.progress.done / scan.progress.total; else bar.removeAttribute("value");
    watch.querySelector("span").textContent = scan.progress.stage || watch.dataset.queued;
  });
}
