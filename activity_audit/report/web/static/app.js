// Begins everything. The pages work without any of it; this adds what a browser can do beyond links and forms.
import { startColumns, enhanceColumns } from "./columns.js";
import { startDialogs } from "./dialog.js";
import { startExports } from "./export.js";
import { loadLists, startFilters } from "./filters.js";
import { startHeatKeys } from "./heat.js";
import { enhanceTable } from "./table.js";
import { startNewer } from "./newer.js";
import { onPage, startPages } from "./pages.js";
import { oneStopEach, startStops } from "./stops.js";
import { showTour, startTour } from "./tour.js";
import { startCellMenus } from "./cell_menu.js";

document.documentElement.classList.add("js");
onPage(enhanceTable);
onPage(enhanceColumns);
onPage(loadLists);
onPage(() => oneStopEach());
onPage(showTour);
startPages();
startFilters();
startDialogs();
startExports();
startCellMenus();
startColumns();
startHeatKeys();
startNewer();
startStops();
startTour();
