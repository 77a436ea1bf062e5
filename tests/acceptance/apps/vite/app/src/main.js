import "./style.css";
import { stars } from "./stars.js";

document.querySelector("#app").textContent = stars.join(", ");
