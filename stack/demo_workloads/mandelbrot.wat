;; Draws one row of the Mandelbrot set. Arguments: row, width, height (the last three).
(module
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  ;; 0: argument count, 4: bytes, 8: iovec, 16: bytes written, 32: shades,
  ;; 1024: argument pointers, 8192: argument text, 16384: the row
  (memory (export "memory") 1)
  (data (i32.const 32) " .,:;+*%#@")

  (func $parse (param $at i32) (result i32)
    (local $value i32) (local $byte i32)
    (block $end
      (loop $next
        (local.set $byte (i32.load8_u (local.get $at)))
        (br_if $end (i32.lt_u (local.get $byte) (i32.const 48)))
        (br_if $end (i32.gt_u (local.get $byte) (i32.const 57)))
        (local.set $value
          (i32.add
            (i32.mul (local.get $value) (i32.const 10))
            (i32.sub (local.get $byte) (i32.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $value))

  ;; The argument that stands $back places before the end.
  (func $argument (param $back i32) (result i32)
    (call $parse
      (i32.load
        (i32.add
          (i32.const 1024)
          (i32.shl (i32.sub (i32.load (i32.const 0)) (local.get $back)) (i32.const 2))))))

  ;; Steps until the point escapes, at most 511: its bit length picks one of ten shades.
  (func $steps (param $cx f64) (param $cy f64) (result i32)
    (local $x f64) (local $y f64) (local $xx f64) (local $yy f64) (local $n i32)
    (block $end
      (loop $next
        (local.set $xx (f64.mul (local.get $x) (local.get $x)))
        (local.set $yy (f64.mul (local.get $y) (local.get $y)))
        (br_if $end (f64.gt (f64.add (local.get $xx) (local.get $yy)) (f64.const 4)))
        (br_if $end (i32.ge_u (local.get $n) (i32.const 511)))
        (local.set $y
          (f64.add
            (f64.mul (f64.mul (f64.const 2) (local.get $x)) (local.get $y))
            (local.get $cy)))
        (local.set $x (f64.add (f64.sub (local.get $xx) (local.get $yy)) (local.get $cx)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))

  ;; $low + $span * $at / $last
  (func $scale (param $low f64) (param $span f64) (param $at i32) (param $last i32) (result f64)
    (f64.add
      (local.get $low)
      (f64.div
        (f64.mul (local.get $span) (f64.convert_i32_u (local.get $at)))
        (f64.convert_i32_u (local.get $last)))))

  (func $draw (param $row i32) (param $width i32) (param $height i32)
    (local $column i32) (local $cy f64)
    (local.set $cy
      (call $scale (f64.const -1.2) (f64.const 2.4) (local.get $row)
        (i32.sub (local.get $height) (i32.const 1))))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $column) (local.get $width)))
        (i32.store8 offset=16384 (local.get $column)
          (i32.load8_u offset=32
            (i32.sub (i32.const 32)
              (i32.clz
                (call $steps
                  (call $scale (f64.const -2.2) (f64.const 3) (local.get $column)
                    (i32.sub (local.get $width) (i32.const 1)))
                  (local.get $cy))))))
        (local.set $column (i32.add (local.get $column) (i32.const 1)))
        (br $next)))
    (i32.store8 offset=16384 (local.get $width) (i32.const 10)))

  (func (export "_start")
    (local $width i32)
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (if (i32.lt_u (i32.load (i32.const 0)) (i32.const 4))
      (then (call $proc_exit (i32.const 2))))
    (drop (call $args_get (i32.const 1024) (i32.const 8192)))
    (local.set $width (call $argument (i32.const 2)))
    (if (i32.gt_u (local.get $width) (i32.const 4096))
      (then (call $proc_exit (i32.const 3))))
    (call $draw (call $argument (i32.const 3)) (local.get $width) (call $argument (i32.const 1)))
    (i32.store (i32.const 8) (i32.const 16384))
    (i32.store (i32.const 12) (i32.add (local.get $width) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
