// Keeps the progress page up to date. The server decides what is shown; this only puts it there.
"use strict";
(() => {
  const page = document.getElementById("progress");
  const at = (id) => document.getElementById(id);
  const format = new Intl.NumberFormat("en-US");
  const link = at("link");
  const over = ["completed", "canceled", "failed"];
  let rate = Number(at("rate").textContent) || 0;
  let state = at("pill").dataset.state;
  let settled = false;
  const rates = [];

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function tell(state, words) {
    link.dataset.link = state;
    say(link, words);
  }

  function show(news) {
    const { campaign, wallet } = news;
    at("pill").dataset.state = campaign.state;
    say(at("pill"), news.label);
    say(at("sentence"), news.sentence);
    // Read out when the state turns, not with every number.
    if (campaign.state !== state) say(at("told"), news.sentence);
    state = campaign.state;
    say(at("percent"), format.format(news.percent));
    say(at("total"), format.format(campaign.counts.total));
    say(at("available"), format.format(wallet.available));
    say(at("reserved"), format.format(campaign.credits.reserved));
    say(at("spent"), format.format(campaign.credits.spent));
    for (const part of news.parts) {
      const bar = page.querySelector(`[data-part="${part.key}"]`);
      bar.setAttribute("x", `${part.x}%`);
      bar.setAttribute("width", `${part.width}%`);
      say(page.querySelector(`[data-count="${part.key}"]`), format.format(part.count));
      page.querySelector(`[data-row="${part.key}"]`).classList.toggle("none", part.count === 0);
    }
    rate = campaign.rate_per_second;
    say(at("rate"), format.format(Math.round(rate)));
    settled = over.includes(campaign.state) && campaign.counts.sent === 0;
    document.title = `${news.percent} % · ${campaign.name} · Ledgerline`;
  }

  function draw() {
    rates.push(rate);
    if (rates.length > 45) rates.shift();
    const top = Math.max(1, ...rates);
    const step = 120 / 44;
    const first = 120 - (rates.length - 1) * step;
    const points = rates.map((value, n) => `${(first + n * step).toFixed(1)} ${(30 - (value / top) * 26).toFixed(1)}`);
    const line = `M${points.join("L")}`;
    const spark = at("spark");
    spark.querySelector(".line").setAttribute("d", line);
    spark.querySelector(".area").setAttribute("d", `${line}L120 32L${first.toFixed(1)} 32Z`);
  }

  const events = new EventSource(page.dataset.events);
  events.onopen = () => tell("live", "live");
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.onerror = () => {
    if (settled) {
      events.close();
      tell("still", "final");
    } else {
      tell("lost", events.readyState === EventSource.CLOSED ? "connection lost" : "reconnecting");
    }
  };
  draw();
  setInterval(draw, 1000);
})();
