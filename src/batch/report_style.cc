// The report's style sheet: light and dark by what the reader's system prefers; prints well.
#include "batch/report_parts.h"

namespace trireme {

const char* const report_style = R"css(
:root{color-scheme:light dark;--bg:#f7f8fa;--card:#fff;--ink:#1b2430;--soft:#5d6978;--line:#dfe4ea;--grid:#e9edf1;
--c1:#2f6fde;--c2:#12996b;--c3:#c2571a;--c4:#8a4fc7;--c5:#b8860b;--c6:#c2397a;--wait:#f1c9a5;--good:#12805c;--bad:#c0362c}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6eaf0;--soft:#98a4b3;--line:#2c3541;
--grid:#252d38;--c1:#6aa1ff;--c2:#3fc795;--c3:#f08c4a;--c4:#b78aeb;--c5:#dcb04a;--c6:#ec7ab0;--wait:#5b4330;
--good:#4cc79b;--bad:#ff7b6e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 24px 64px}
header .brand{font-size:12px;letter-spacing:.14em;text-transform:uppercase;color:var(--soft)}
h1{font-size:26px;line-height:1.25;margin:4px 0 8px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:17px;margin:36px 0 4px;font-weight:650}
h3{font-size:13px;margin:0 0 6px;font-weight:600}
p.note{margin:0 0 12px;color:var(--soft);font-size:13px;max-width:78ch}
.badge{display:inline-block;padding:1px 10px;border-radius:99px;font-size:13px;font-weight:600;border:1px solid;
vertical-align:4px;margin-left:10px}
.badge.good{color:var(--good)}.badge.bad{color:var(--bad)}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px;margin:12px 0;
white-space:pre-wrap;overflow-wrap:anywhere;font:12.5px/1.5 ui-monospace,Menlo,Consolas,monospace}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0;font-size:14px}
dl.facts dt{color:var(--soft)}dl.facts dd{margin:0;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:12px;margin:22px 0 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:24px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{display:block;font-size:12.5px;color:var(--soft)}
.tile .label{margin-bottom:4px}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:12px}
.grid.three{grid-template-columns:repeat(auto-fit,minmax(min(290px,100%),1fr))}
.wide{overflow-x:auto}
.wide>svg{min-width:760px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:11px;font-family:inherit}
svg text.name{fill:var(--ink);font-size:12px}
svg .grid-line{stroke:var(--grid);stroke-width:1}
svg .axis{stroke:var(--line);stroke-width:1}
svg .c1{fill:var(--c1);stroke:var(--c1)}svg .c2{fill:var(--c2);stroke:var(--c2)}svg .c3{fill:var(--c3);stroke:var(--c3)}
svg .c4{fill:var(--c4);stroke:var(--c4)}svg .c5{fill:var(--c5);stroke:var(--c5)}svg .c6{fill:var(--c6);stroke:var(--c6)}
svg rect.c1,svg rect.c2,svg rect.c3,svg rect.c4,svg rect.c5,svg rect.c6{stroke:none}
svg .load{fill:var(--soft);opacity:.5}
svg .wait{fill:var(--wait)}
svg .lane{fill:var(--grid)}
svg .area{stroke:none;opacity:.16}
svg .curve{fill:none;stroke-width:1.6;stroke-linejoin:round}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:12.5px;color:var(--soft);margin:0 0 8px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--soft);font-size:12.5px}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right}
td.message{overflow-wrap:anywhere;color:var(--soft)}
td.message div+div{margin-top:3px}
.split{display:flex;height:10px;border-radius:5px;overflow:hidden;background:var(--grid);min-width:150px;margin-top:5px}
.split i{display:block;height:100%}
footer{margin-top:40px;color:var(--soft);font-size:12.5px}
@media print{body{background:#fff}.card{break-inside:avoid}}
)css";

}  // namespace trireme
