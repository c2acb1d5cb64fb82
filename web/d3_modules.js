/* What the charts use of d3, and so all of it that a page carries. */
export { extent, max, ticks } from "d3-array";
export { axisBottom, axisLeft } from "d3-axis";
export { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
export { scaleLinear, scaleLog, scaleSqrt } from "d3-scale";
export { create, event, select } from "d3-selection";
export { area, curveStepAfter, line, symbol, symbolCircle, symbolDiamond, symbolSquare, symbolTriangle } from "d3-shape";
