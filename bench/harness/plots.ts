import * as echarts from "echarts"
import type { Plot } from "./question.ts"

const WIDTH = 860
const HEIGHT = 460
const INK = "#1f2328"
const GRID_LINE = "#d1d9e0"
// Colour-blind readers can tell these apart, too.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]

/** A plot as SVG. Its background is white, so that you can read it in GitHub's dark mode. */
export const drawn = ({ option, title }: Plot): string => {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT })
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      color: COLOURS,
      textStyle: { color: INK, fontFamily: "sans-serif" },
      title: { text: title, left: "center", top: 8, textStyle: { color: INK, fontSize: 16 } },
      legend: { bottom: 8, width: WIDTH - 120, itemGap: 28, itemWidth: 20, textStyle: { color: INK } },
      grid: { left: 70, right: 40, top: 56, bottom: 116 }
    })
    chart.setOption(option)
    const axis = {
      nameLocation: "middle",
      nameTextStyle: { color: INK, fontSize: 13 },
      axisLabel: { color: INK, interval: 0 },
      splitLine: { lineStyle: { color: GRID_LINE } }
    }
    chart.setOption({ xAxis: { ...axis, nameGap: 30 }, yAxis: { ...axis, nameGap: 50 } })
    return `${chart.renderToSVGString()}\n`
  } finally {
    chart.dispose()
  }
}
