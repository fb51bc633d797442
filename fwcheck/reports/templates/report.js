
(function () {
  "use strict";
  var bar = document.getElementById("filter"), search = document.getElementById("search");
  if (bar) {
    var groups = Array.prototype.slice.call(document.querySelectorAll("#cards > section")).map(function (group) {
      return { element: group, tone: group.dataset.tone, rest: group.querySelector(":scope > details.rest"), texts: null,
        cards: Array.prototype.slice.call(group.querySelectorAll("article")) };
    });
    var buttons = Array.prototype.slice.call(bar.querySelectorAll("button[data-show]")), told = document.getElementById("found");
    var fresh = bar.querySelector("button[data-fresh]"), shown = "all", freshOnly = false, waiting = 0;
    var read = function (group) {
      var heading = "";
      Array.prototype.forEach.call(group.element.children, function (each) {
        if (each.tagName !== "ARTICLE" && each.tagName !== "DETAILS") { heading += each.textContent + " "; }
      });
      heading = heading.toLowerCase();
      group.texts = group.cards.map(function (card) { return heading + card.textContent.toLowerCase(); });
    };
    var apply = function () {
      var words = search.value.toLowerCase().split(/\s+/).filter(Boolean), count = 0;
      groups.forEach(function (group) {
        var fits = shown === "all" || group.tone === shown, hits = 0, behind = 0;
        if (fits && words.length && !group.texts) { read(group); }
        group.cards.forEach(function (card, at) {
          var hit = fits && (!freshOnly || card.hasAttribute("data-new")) && words.every(function (word) { return group.texts[at].indexOf(word) >= 0; });
          card.hidden = !hit;
          hits += hit ? 1 : 0;
          behind += hit && card.parentNode === group.rest ? 1 : 0;
        });
        group.element.hidden = !hits;
        if (group.rest) {
          group.rest.hidden = !behind;
          if (words.length || freshOnly) { group.rest.open = behind > 0 && behind < 100; }
        }
        count += hits;
      });
      told.textContent = words.length || freshOnly || shown !== "all" ? told.dataset.words.replace("%", count) : "";
    };
    bar.hidden = false;
    buttons.forEach(function (button) {
      button.addEventListener("click", function () {
        shown = button.dataset.show;
        buttons.forEach(function (each) { each.setAttribute("aria-pressed", String(each === button)); });
        apply();
      });
    });
    if (fresh) {
      fresh.addEventListener("click", function () {
        freshOnly = !freshOnly;
        fresh.setAttribute("aria-pressed", String(freshOnly));
        apply();
      });
    }
    search.addEventListener("input", function () { clearTimeout(waiting); waiting = setTimeout(apply, 60); });
    if (search.value) { apply(); }
  }
  var open = function () {
    var wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var at = wanted; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") { at.open = true; }
      at.hidden = false;
    }
    if (wanted) { wanted.scrollIntoView(); }
  };
  window.addEventListener("hashchange", open);
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details.level[open] > details.row, section.rule > article > details.quote, details.node").forEach(function (each) { each.open = true; });
  });
  open();
}());
