// Four elements a beat, the first in the highest lane; results three clocks later, without a word of when.
module clamp_lanes (
    input  wire         clk,
    input  wire  [47:0] x,
    input  wire  [11:0] low,
    input  wire  [11:0] high,
    output reg   [47:0] y
);
  reg [47:0] held[0:1];
  integer lane;
  always @(posedge clk) begin
    held[0] <= x;
    held[1] <= held[0];
    for (lane = 0; lane < 4; lane = lane + 1)
      y[12*lane+:12] <= $signed(held[1][12*lane+:12]) < $signed(low) ? low :
                        $signed(held[1][12*lane+:12]) > $signed(high) ? high : held[1][12*lane+:12];
  end
endmodule
