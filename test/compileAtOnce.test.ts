import { assert, describe, it } from "@effect/vitest"
import { compileAtOnce } from "../build/compileAtOnce.ts"
import { place } from "../build/rehearsal.ts"

const placesOf = (code: string, functions: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(functions.map((text) => place(code.indexOf(text), code.indexOf(text) + text.length)))

describe("compileAtOnce", () => {
  it.each([
    ["an arrow", "const f=x=>x+1;", ["x=>x+1"], "const f=(x=>x+1);"],
    ["an argument", "const f=dual(2,function(){});", ["function(){}"], "const f=dual(2,(function(){}));"],
    ["an async one", "const f=async function(){};", ["function(){}"], "const f=(async function(){});"],
    ["an arrow that returns one", "const f=x=>y=>1;", ["x=>y=>1", "y=>1"], "const f=(x=>(y=>1));"],
    ["two that touch", "const all=[()=>1,()=>2];", ["()=>1", "()=>2"], "const all=[(()=>1),(()=>2)];"],
    ["one within a method", "class A{f(){return ()=>1}}", ["()=>1"], "class A{f(){return (()=>1)}}"]
  ])("puts a function that is called in parentheses: %s", (_, code, called, expected) => {
    assert.strictEqual(compileAtOnce(code, placesOf(code, called)), expected)
  })

  it.each([
    ["that is not called", "const f=()=>1;function g(){}", []],
    ["that is called within one that is not", "const f=()=>{const g=()=>1};", []],
    ["that is a method", "const o={f(){},get g(){return 1},async h(){}};", ["(){}", "(){return 1}"]],
    ["that is a method of a class", "class A{constructor(){}f(){}static g(){}}", ["(){}"]]
  ])("leaves a function alone %s", (_, code, called) => {
    assert.strictEqual(compileAtOnce(code, placesOf(code, called)), code)
  })

  it.each([
    ["g();function f(){}", ["function f(){}"], "var f=(function (){});g();"],
    ["f();async function f(){}", ["function f(){}"], "var f=(async function (){});f();"],
    [
      "const a=1;function* f(){yield ()=>a}function g(){}",
      ["function* f(){yield ()=>a}", "()=>a"],
      "var f=(function* (){yield (()=>a)});const a=1;function g(){}"
    ]
  ])("turns a called declaration into a function ahead of everything else: %s", (code, called, expected) => {
    assert.strictEqual(compileAtOnce(code, placesOf(code, called)), expected)
  })
})
